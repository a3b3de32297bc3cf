//! Exports hold a connection for as long as their client takes: there are few at once.

use reqwest::{Client, Response};

use crate::support::{Person, Server};

async fn export(server: &Server, org: &str, who: &Person) -> Response {
    let url = format!("{}{org}/export", server.base_url());
    Client::new().post(url).bearer_auth(&who.token).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_export_is_asked_to_come_back_until_one_is_over() {
    let server = Server::start().await;
    let owner = server.sign_in("owner").await;
    let org = server.org(&owner).await;
    let id = org.rsplit('/').next().unwrap();
    // More than sockets hold, so that it is not over before somebody reads it.
    server
        .sql(&format!(
            "with p as (insert into app.projects (tenant_id, id, name) \
                 values ('{id}', gen_random_uuid(), 'P') returning id) \
             insert into app.tasks (tenant_id, id, project_id, title, description, created_by) \
             select '{id}', gen_random_uuid(), p.id, 'T', repeat('x', 8000), '{}' \
             from p, generate_series(1, 5000)",
            owner.id
        ))
        .await;
    let (first, second) =
        (export(&server, &org, &owner).await, export(&server, &org, &owner).await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let third = export(&server, &org, &owner).await;
    assert_eq!(
        (third.status().as_u16(), &third.headers()["retry-after"]),
        (503, &"10".parse().unwrap())
    );
    // Others are served meanwhile.
    assert_eq!(server.get(&org, &owner).await.status, 200);

    // One hangs up, and one is read to its end: both make room. The test's own limit is the clock.
    drop(first);
    while export(&server, &org, &owner).await.status() == 503 {}
    let length = second.content_length().unwrap();
    assert_eq!(u64::try_from(second.bytes().await.unwrap().len()).unwrap(), length);
    while export(&server, &org, &owner).await.status() == 503 {}
    server.stop().await;
}
