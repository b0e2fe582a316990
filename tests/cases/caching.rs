//! Group 4: caching as origins and clients really behave.
