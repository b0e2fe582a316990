//! Group 5: HTTP/1 as it is spoken.
