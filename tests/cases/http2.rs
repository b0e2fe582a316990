//! Group 3, S1, S15, S22: HTTP/2 as it is spoken, and as it is abused.
