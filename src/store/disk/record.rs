//! Records: the unit that is written, whole or not at all.
