//! Group 6: `larder run` and `larder env`.
