//! S9 to S13: where a request may go.
