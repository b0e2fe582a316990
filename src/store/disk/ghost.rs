//! Keys that were evicted not long ago.
