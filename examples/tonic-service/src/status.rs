//! Failures as gRPC statuses: those that the guards would have answered with.

use std::error::Error as _;

use http::{Extensions, Response};
use mt_core::pg::{BeginError, PgError};
use mt_tower::problem::{GrpcStatus, Problem, Reject as _};
use tonic::Status;

/// A refusal of the guards' kind, from within a method.
pub(crate) fn refused(problem: impl Into<Problem>) -> Status {
    let answer: Response<()> = GrpcStatus.reject(&problem.into(), &Extensions::new());
    Status::from_header_map(answer.headers()).expect("a refusal has a status")
}

/// What a client may know of a transaction that failed. The rest is logged, here.
pub(crate) fn failed(error: impl Into<BeginError>) -> Status {
    refused(match error.into() {
        BeginError::Denied(denied) => denied.into(),
        BeginError::NotAMember => Problem::NOT_FOUND,
        BeginError::SignedOut => Problem::invalid_token(),
        BeginError::Pg(PgError::Unavailable(cause)) => {
            tracing::warn!(%cause, "no database");
            Problem::unavailable()
        }
        failure => {
            tracing::error!(cause = failure.source(), "{failure}");
            Problem::INTERNAL
        }
    })
}
