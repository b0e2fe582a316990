//! Where each record lies: sixteen octets an entry.
