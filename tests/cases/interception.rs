//! S4, 1.11 to 1.13, 6.9 to 6.15: interception that cannot be walked around, and clients that still work.
