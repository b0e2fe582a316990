//! S0, S18, 4.5 to 4.7: the store.
