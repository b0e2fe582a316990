//! What a folder says about itself: format, identity, secrets.
