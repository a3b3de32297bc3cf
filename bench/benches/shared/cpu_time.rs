//! The CPU time of a server process of Postgres, which does not contain its waits on a busy machine.

use sqlx::postgres::PgConnection;

/// The microseconds of CPU time that the server process of this connection, a superuser's, has used.
pub(crate) async fn cpu_time(conn: &mut PgConnection) -> f64 {
    let text: String = sqlx::query_scalar("select pg_read_file('/proc/self/schedstat')")
        .fetch_one(conn)
        .await
        .expect("a Postgres on Linux");
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.expect("nanoseconds come first") / 1000.0
}
