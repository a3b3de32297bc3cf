//! Postgres: the only way from a [`Grant`](crate::access::Grant) to rows.
