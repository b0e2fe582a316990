//! The index written down, and the log positions that it covers.
