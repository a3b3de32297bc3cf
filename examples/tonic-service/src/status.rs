//! Problems as gRPC statuses: those that the guards answer with.

use http::{Extensions, Response};
use mt_tower::problem::{GrpcStatus, Problem, Reject as _};
use tonic::Status;

/// Returns the status of a problem, or of an error that has one.
pub(crate) fn refused(problem: impl Into<Problem>) -> Status {
    let answer: Response<()> = GrpcStatus.reject(&problem.into(), &Extensions::new());
    Status::from_header_map(answer.headers()).expect("a refusal has a status")
}
