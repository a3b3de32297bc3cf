//! The checks that embedders point at their applications: each fault they are made for is found.

use std::cell::Cell;

use mt_core::testing::isolation::{Answer, Call, Findings, Party, Routes, check_tables};
use sqlx::Executor as _;

use crate::model::World;

/// Two tenants with a note each, and their owners.
async fn two_parties(world: &World) -> [Party; 2] {
    let mut parties = Vec::new();
    for name in ["a", "b"] {
        let owner = world.user(name).await;
        let tenant = world.tenant(owner).await;
        let party = Party::new(tenant).person("owner", name);
        let note: uuid::Uuid = sqlx::query_scalar(
            "insert into public.notes (tenant_id, text) values ($1, $2) returning id",
        )
        .bind(tenant.as_uuid())
        .bind(party.canary())
        .fetch_one(world.db.admin())
        .await
        .unwrap();
        parties.push(party.id("note", note));
    }
    parties.try_into().unwrap()
}

fn routes() -> Routes {
    Routes::new()
        .route("GET", "/{tenant}/notes", None)
        .route("GET", "/{tenant}/notes/{note}", None)
        .route("DELETE", "/{tenant}/notes/{note}", None)
        .ignoring_header("x-request-id")
        .ignoring_member("request_id")
}

fn answer(status: u16, body: &str) -> Answer {
    thread_local!(static ASKED: Cell<u32> = const { Cell::new(0) });
    ASKED.set(ASKED.get() + 1);
    let id = format!("request-{}", ASKED.get());
    Answer {
        status,
        body: body.replace("<id>", &id).into_bytes(),
        headers: vec![("x-request-id".to_owned(), id)],
    }
}

const ABSENT: &str = r#"{"code":"not-found","request_id":"<id>"}"#;

/// A fault that an application may have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Shows whatever tenant the path names.
    ShowsAnybody,
    /// Puts the other's data into a header.
    ShowsInAHeader,
    /// Says 403 where it should say 404.
    TellsThereIsSomething,
    /// Names what was asked for in another way when it exists.
    TellsByAHeader,
    /// Deletes by the id of the row alone.
    DeletesAnybodys,
    /// Shows nobody anything.
    ShowsNobody,
}

/// A small application with `fault`. Its people are called what their tenant is called.
async fn application(world: &World, [a, b]: &[Party; 2], fault: Fault, call: Call) -> Answer {
    let of = |party: &Party| party.tenant().to_string();
    let caller = if call.bearer == "a" { a } else { b };
    let mut path = call.path.split('/').skip(1);
    let (tenant, note) = (path.next().unwrap(), path.nth(1));
    let is_own = tenant == of(caller);
    let exists = [of(a), of(b)].iter().any(|known| known == tenant);
    let owner = if tenant == of(a) { a } else { b };
    let shown = match fault {
        Fault::ShowsNobody => false,
        Fault::ShowsAnybody => exists,
        _ => is_own,
    };
    if call.method == "DELETE" {
        let sql = "delete from public.notes where id = $1 and ($2 or tenant_id = $3)";
        let deleted = sqlx::query(sql)
            .bind(note.unwrap().parse::<uuid::Uuid>().unwrap())
            .bind(fault == Fault::DeletesAnybodys)
            .bind(caller.tenant().as_uuid())
            .execute(world.db.admin());
        let deleted = if is_own { deleted.await.unwrap().rows_affected() } else { 0 };
        return if deleted > 0 && fault != Fault::DeletesAnybodys {
            answer(204, "")
        } else {
            answer(404, ABSENT)
        };
    }
    if shown && note.is_none() {
        return answer(200, &format!(r#"["{}"]"#, owner.canary()));
    }
    let mut absent = answer(404, ABSENT);
    match fault {
        Fault::TellsThereIsSomething if exists => absent.status = 403,
        Fault::TellsByAHeader if exists => {
            absent.headers.push(("etag".to_owned(), "1".to_owned()));
        }
        Fault::ShowsInAHeader if exists => {
            absent.headers.push(("x-name".to_owned(), owner.canary().to_owned()));
        }
        _ => {}
    }
    absent
}

async fn findings(fault: Fault) -> Findings {
    let world = World::new(2).await;
    let parties = two_parties(&world).await;
    let [a, b] = &parties;
    routes()
        .check(&world.db, a, b, async |call| application(&world, &parties, fault, call).await)
        .await
}

#[tokio::test]
async fn an_application_without_a_fault_passes() {
    findings(Fault::None).await.assert_none();
}

#[tokio::test]
async fn each_fault_is_found_and_named() {
    for (fault, words) in [
        (Fault::ShowsAnybody, "the answer holds A's canary"),
        (Fault::ShowsInAHeader, "the answer holds A's canary"),
        (Fault::TellsThereIsSomething, "an id of A's is told from one that does not exist"),
        (Fault::TellsByAHeader, "an id of A's is told from one that does not exist"),
        (Fault::DeletesAnybodys, "what A has stored was changed"),
        (Fault::ShowsNobody, "is not shown its own canary"),
    ] {
        let findings = findings(fault).await;
        assert!(findings.to_string().contains(words), "{fault:?}: {findings}");
    }
}

#[tokio::test]
async fn tables_made_safe_pass() {
    let world = World::new(1).await;
    let [a, b] = two_parties(&world).await;
    check_tables(&world.db, a.tenant(), b.tenant()).await.assert_none();
}

#[tokio::test]
async fn each_hole_in_a_table_is_found() {
    for (hole, words) in [
        ("alter table public.notes disable row level security", "B sees 2 of 1"),
        ("create policy also on public.notes for select to mt_app using (true)", "nobody sees 2"),
        (
            "create policy also on public.notes for insert to mt_app with check (true)",
            "not the policy that keeps B from planting",
        ),
        ("drop policy mt_isolation on public.notes", "B sees 0 of 1"),
        (
            "drop policy mt_isolation on public.notes; create policy bare on public.notes to mt_app \
             using (tenant_id = current_setting('mt.tenant_id')::uuid)",
            "cannot ask",
        ),
        ("delete from public.notes", "need rows"),
    ] {
        let world = World::new(1).await;
        let [a, b] = two_parties(&world).await;
        world.db.admin().execute(hole).await.unwrap();
        let findings = check_tables(&world.db, a.tenant(), b.tenant()).await;
        assert!(findings.to_string().contains(words), "{hole}: {findings}");
    }
}
