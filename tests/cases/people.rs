//! Group 7: what people see.
