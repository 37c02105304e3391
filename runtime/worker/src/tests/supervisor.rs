//! What a user notices of the supervisor.
