//! Tables for the questions of this room. `now` is always passed; times count from [`START`].
