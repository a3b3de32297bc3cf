//! Which request it was for.

use std::sync::Arc;

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// Runs `work` so that whatever it records names the request `id`.
///
/// For the outermost handler, so that no transaction has to be handed the id. A task that `work` spawns is
/// no part of it.
///
/// ```
/// # async fn handle() {}
/// # async fn run() {
/// mt_core::pg::audit_log::in_request("0190f2c6", handle()).await
/// # }
/// ```
pub async fn in_request<F: Future>(id: &str, work: F) -> F::Output {
    REQUEST.scope(id.into(), work).await
}

/// `work`, to be spawned as a task that goes on with the present request.
pub(in crate::pg) fn same_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let request = current();
    async move {
        match request {
            Some(id) => REQUEST.scope(id, work).await,
            None => work.await,
        }
    }
}

pub(in crate::pg) fn current() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}
