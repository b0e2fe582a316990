//! Group 1, S8, S14, S20, S21: no client harms the others.
