//! Values and columns of every kind: as text in one message, or by themselves.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use mt_core::access::AccessRequest;
use mt_core::pg::audit_log::Action;
use mt_core::pg::{Database, DatabaseOptions, Query, Tenants, query_as, query_scalar};
use mt_core::testing::Relay;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use sqlx::{Executor as _, FromRow};
use uuid::Uuid;

use crate::support::{Acme, NotesRead, NotesWrite, World};

const WRITTEN: Action = Action::new("sample.written", "sample");

/// A table with a column of each kind.
const SAMPLES: &str = "create type public.mood as enum ('calm', 'it''s \\ ok'); \
     create table public.samples (tenant_id uuid not null default mt.tenant_id(), id uuid not null, \
         flag bool, small int2, medium int4, large int8, real8 float8, text text, bytes bytea, document jsonb, \
         day date, at timestamptz, labels text[], numbers int4[], ids uuid[], span interval, mood public.mood, \
         primary key (tenant_id, id)); \
     select mt.isolate('public.samples')";

#[derive(Clone, Debug, FromRow, PartialEq)]
struct Sample {
    flag: Option<bool>,
    small: Option<i16>,
    medium: Option<i32>,
    large: Option<i64>,
    real8: Option<f64>,
    text: Option<String>,
    /// Bound, and not returned: it is not read from text.
    #[sqlx(default)]
    bytes: Option<Vec<u8>>,
    document: Option<Json<BTreeMap<String, String>>>,
    day: Option<NaiveDate>,
    at: Option<DateTime<Utc>>,
    /// Bound, and not returned, as `bytes`.
    #[sqlx(default)]
    labels: Option<Vec<Option<String>>>,
    numbers: Option<Vec<i32>>,
    ids: Option<Vec<Uuid>>,
}

const INSERT: &str = "insert into public.samples (id, flag, small, medium, large, real8, text, bytes, document, day, at, \
         labels, numbers, ids) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
     returning flag, small, medium, large, real8, text, document, day, at, numbers, ids";
const SELECT: &str = "select flag, small, medium, large, real8, text, document, day, at, numbers, ids \
     from public.samples where tenant_id = mt.tenant_id() and id = $1 and text is not distinct from $2 \
         and bytes is not distinct from $3 and document is not distinct from $4 and day is not distinct from $5 \
         and at is not distinct from $6 and labels is not distinct from $7 and numbers is not distinct from $8 \
         and ids is not distinct from $9 and real8 is not distinct from $10";

impl Sample {
    const NONE: Self = Self {
        flag: None,
        small: None,
        medium: None,
        large: None,
        real8: None,
        text: None,
        bytes: None,
        document: None,
        day: None,
        at: None,
        labels: None,
        numbers: None,
        ids: None,
    };

    /// Values that would end a string, an array or a message if they were not written as values.
    fn hostile(text: &str) -> Self {
        let document = BTreeMap::from([(text.to_owned(), text.to_owned())]);
        Self {
            flag: Some(true),
            small: Some(i16::MIN),
            medium: Some(i32::MIN),
            large: Some(i64::MIN),
            real8: Some(-1.25e-9),
            text: Some(text.to_owned()),
            bytes: Some(text.as_bytes().to_vec()),
            document: Some(Json(document)),
            day: NaiveDate::from_ymd_opt(1969, 7, 20),
            at: DateTime::from_timestamp_micros(-1_234_567),
            labels: Some(vec![
                Some(text.to_owned()),
                None,
                Some(String::new()),
                Some("NULL".into()),
            ]),
            numbers: Some(vec![i32::MAX, 0, -1]),
            ids: Some(vec![Uuid::max(), Uuid::nil()]),
        }
    }

    fn insert(&self, id: Uuid) -> Query<Self> {
        let sample = self.clone();
        query_as(INSERT)
            .bind(id)
            .bind(sample.flag)
            .bind(sample.small)
            .bind(sample.medium)
            .bind(sample.large)
            .bind(sample.real8)
            .bind(sample.text)
            .bind(sample.bytes)
            .bind(sample.document)
            .bind(sample.day)
            .bind(sample.at)
            .bind(sample.labels)
            .bind(sample.numbers)
            .bind(sample.ids)
    }

    fn select(&self, id: Uuid) -> Query<Self> {
        let sample = self.clone();
        query_as(SELECT)
            .bind(id)
            .bind(sample.text)
            .bind(sample.bytes)
            .bind(sample.document)
            .bind(sample.day)
            .bind(sample.at)
            .bind(sample.labels)
            .bind(sample.numbers)
            .bind(sample.ids)
            .bind(sample.real8)
    }
}

/// Access over one connection whose round trips are counted.
struct Counted {
    relay: Relay,
    tenants: Tenants<Acme>,
}

impl Counted {
    async fn new(world: &World) -> Self {
        world.db.admin().execute(SAMPLES).await.unwrap();
        let relay = Relay::start(&world.db.login()).await.unwrap();
        let options = DatabaseOptions::new(relay.through(world.db.login())).max_connections(1);
        let database = Database::connect(options).await.unwrap();
        Self { relay, tenants: database.tenants(mt_core::billing::StandingPolicy::default()) }
    }

    fn trips(&self) -> usize {
        self.relay.take_round_trips().len()
    }
}

#[tokio::test]
async fn built_in_types_share_one_message() {
    let world = World::new(1).await;
    let counted = Counted::new(&world).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let access = counted.tenants.load_access(owner, tenant).await.unwrap();
    let (read, write) =
        (access.authorize::<NotesRead>().unwrap(), access.authorize::<NotesWrite>().unwrap());
    let texts = ["plain", "'); drop table public.samples; --", "\\'{\"a\",}", "ü 🦀 $1\n\t"];
    let samples = texts.map(Sample::hostile).into_iter().chain([Sample::NONE]);
    for (number, sample) in samples.enumerate() {
        let id = Uuid::now_v7();
        let tx = counted.tenants.begin(write).await.unwrap();
        counted.trips();
        let last = tx.execute_and_commit::<NotesWrite>(WRITTEN.on(id));
        let returned = Sample { bytes: None, labels: None, ..sample.clone() };
        assert_eq!(sample.insert(id).fetch_one(last).await.unwrap(), returned);
        if number > 0 {
            assert_eq!(counted.trips(), 1, "the types of the columns are known by then");
        }
        // Twice: the first read prepares the statement.
        for _ in 0..2 {
            counted.trips();
            let found = sample.select(id).fetch_one(counted.tenants.read(read)).await.unwrap();
            assert_eq!((found, counted.trips()), (returned.clone(), 1));
        }
    }
}

/// The driver would take the text `NULL` in an array for a null.
#[tokio::test]
async fn arrays_of_texts_and_bytes_are_not_read_from_text() {
    let world = World::new(1).await;
    let counted = Counted::new(&world).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let access = counted.tenants.load_access(owner, tenant).await.unwrap();
    let sample = Sample::hostile("NULL");
    for _ in 0..3 {
        let id = Uuid::now_v7();
        let tx = counted.tenants.begin(access.authorize::<NotesWrite>().unwrap()).await.unwrap();
        let last = tx.execute_and_commit::<NotesWrite>(WRITTEN.on(id));
        let insert = "insert into public.samples (id, labels, bytes) values ($1, $2, $3) returning labels, bytes";
        let insert = query_as::<(Vec<Option<String>>, Vec<u8>)>(insert).bind(id);
        let insert = insert.bind(sample.labels.clone()).bind(sample.bytes.clone());
        let expected = (sample.labels.clone().unwrap(), sample.bytes.clone().unwrap());
        assert_eq!(insert.fetch_one(last).await.unwrap(), expected);
        let select =
            "select labels, bytes from public.samples where tenant_id = mt.tenant_id() and id = $1";
        let select = query_as::<(Vec<Option<String>>, Vec<u8>)>(select).bind(id);
        let read = counted.tenants.read(access.authorize::<NotesRead>().unwrap());
        assert_eq!(select.fetch_one(read).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn other_types_take_round_trips_of_their_own() {
    #[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
    #[sqlx(type_name = "mood")]
    enum Mood {
        #[sqlx(rename = "it's \\ ok")]
        Ok,
    }
    let world = World::new(1).await;
    let counted = Counted::new(&world).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let access = counted.tenants.load_access(owner, tenant).await.unwrap();
    let span = PgInterval { months: 1, days: 2, microseconds: 3 };
    let write = access.authorize::<NotesWrite>().unwrap();
    for _ in 0..2 {
        let id = Uuid::now_v7();
        let tx = counted.tenants.begin(write).await.unwrap();
        let insert =
            "insert into public.samples (id, span, mood) values ($1, $2, $3) returning span, mood";
        let last = tx.execute_and_commit::<NotesWrite>(WRITTEN.on(id));
        let insert = query_as::<(PgInterval, Mood)>(insert).bind(id).bind(span).bind(Mood::Ok);
        assert_eq!(insert.fetch_one(last).await.unwrap(), (span, Mood::Ok));

        let read = access.authorize::<NotesRead>().unwrap();
        // An interval is bound in one of them, and only returned in the other.
        let by_span = "select mood from public.samples where tenant_id = mt.tenant_id() and span = $1 and id = $2";
        let by_span = query_scalar::<Mood>(by_span).bind(span).bind(id);
        assert_eq!(by_span.fetch_one(counted.tenants.read(read)).await.unwrap(), Mood::Ok);
        let spans = "select span from public.samples where tenant_id = mt.tenant_id() and id = $1";
        let spans = query_scalar::<PgInterval>(spans).bind(id);
        assert_eq!(spans.fetch_one(counted.tenants.read(read)).await.unwrap(), span);
    }
    // The control: an enum that is only returned is read from text.
    counted.trips();
    let moods = "select mood from public.samples where tenant_id = mt.tenant_id() limit 1";
    let mood = query_scalar::<Mood>(moods)
        .fetch_one(counted.tenants.read(access.authorize::<NotesRead>().unwrap()));
    assert_eq!((mood.await.unwrap(), counted.trips()), (Mood::Ok, 1));
}

/// The macros check their SQL when this is compiled, against what `.sqlx` recorded of a database (`CONTRIBUTING.md`).
#[tokio::test]
async fn checked_queries_of_sqlx_run_in_a_transaction() {
    struct Note {
        text: String,
    }
    let world = World::new(1).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let id = tenant.as_uuid();
    let mut tx =
        world.tenants.begin(AccessRequest::<NotesWrite>::new(owner, tenant)).await.unwrap();
    let inserted =
        sqlx::query!("insert into public.notes (tenant_id, text) values ($1, $2)", id, "x");
    let inserted = inserted.execute(tx.execute_unaudited::<NotesWrite>()).await.unwrap();
    assert_eq!(inserted.rows_affected(), 1);
    let notes = sqlx::query_as!(Note, "select text from public.notes where tenant_id = $1", id);
    let notes = notes.fetch_all(tx.query::<NotesRead>()).await.unwrap();
    assert_eq!(notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["x"]);
    let count = sqlx::query_scalar!("select count(*) from public.notes where tenant_id = $1", id);
    assert_eq!(count.fetch_one(tx.query::<NotesRead>()).await.unwrap(), Some(1));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_value_that_postgres_refuses_leaves_the_connection_usable() {
    let world = World::new(1).await;
    let counted = Counted::new(&world).await;
    let owner = world.user("owner").await;
    let tenant = world.tenant(owner).await;
    let read =
        counted.tenants.load_access(owner, tenant).await.unwrap().authorize::<NotesRead>().unwrap();
    // Postgres takes no zero byte in a text, in whichever way it comes.
    for _ in 0..2 {
        let query = query_scalar::<String>("select $1::text").bind("a\0b");
        assert!(query.fetch_one(counted.tenants.read(read)).await.is_err());
    }
    let query = query_scalar::<String>("select $1::text").bind("fine");
    assert_eq!(query.fetch_one(counted.tenants.read(read)).await.unwrap(), "fine");
}
