//! Group 2: names as the system resolves them.
