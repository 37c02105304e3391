//! What a user notices of sink tasks.
