//! What was purged by host, prefix or tag, and up to when.
