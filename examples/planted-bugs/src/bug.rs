//! The bugs, and the tool that has to find each.

use std::fmt;

/// What has to find a bug.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tool {
    /// `pg::audit`, which reads the catalogue.
    Audit,
    /// `testing::isolation`: `Harness::check`.
    Isolation,
    /// The same `without_policies`.
    WithoutPolicies,
    /// `Harness::matrix` beside its file.
    Matrix,
    /// `Harness::serving`: the router has a route that the check does not name.
    Completeness,
    /// The library or Postgres refuses it when it runs.
    RunTime,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audit => "audit",
            Self::Isolation => "isolation",
            Self::WithoutPolicies => "without policies",
            Self::Matrix => "matrix",
            Self::Completeness => "completeness",
            Self::RunTime => "run time",
        })
    }
}

macro_rules! bugs {
    ($($name:ident: $tool:ident $(at $at:literal)?, $says:literal, $about:literal $(, sql $sql:literal)?;)+) => {
        /// A bug that compiles.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Bug {
            $(#[doc = $about] $name,)+
        }

        impl Bug {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What has to find it.
            #[must_use]
            pub const fn tool(self) -> Tool {
                match self { $(Self::$name => Tool::$tool,)+ }
            }

            /// What the tool says of it, among other things.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)+ }
            }

            /// What the bug is, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)+ }
            }

            /// The operations that it alters, separated by commas; empty for none in particular.
            #[must_use]
            pub const fn operations(self) -> &'static str {
                match self { $(Self::$name => concat!($($at)?),)+ }
            }

            /// What it does to the database, run as a superuser; `<login>` is the server's login.
            #[must_use]
            pub const fn sql(self) -> &'static str {
                match self { $(Self::$name => concat!($($sql)?),)+ }
            }
        }
    };
}

bugs! {
    // Queries that leave the tenant to the policies.
    ListWithoutWhere: WithoutPolicies at "GET /shops/{shop}/tickets", "canary", "The list of tickets does not name the tenant.";
    FindByIdAlone: WithoutPolicies at "GET /shops/{shop}/tickets/{ticket}", "canary", "A ticket is found by its id alone.";
    ChangeByIdAlone: WithoutPolicies at "PATCH /shops/{shop}/tickets/{ticket}", "the data of A changed", "A ticket is changed by its id alone.";
    DeleteByIdAlone: WithoutPolicies at "DELETE /shops/{shop}/tickets/{ticket}", "the data of A changed", "A ticket is deleted by its id alone.";
    SearchWithoutWhere: WithoutPolicies at "GET /shops/{shop}/search", "canary", "The search does not name the tenant.";
    ExportWithoutWhere: WithoutPolicies at "GET /shops/{shop}/export", "canary", "The export does not name the tenant.";
    TrashWithoutWhere: WithoutPolicies at "GET /shops/{shop}/trash", "canary", "The list of soft-deleted tickets does not name the tenant.";
    MembersOfAllShops: WithoutPolicies at "GET /shops/{shop}/members", "canary", "The list of members is one of all users.";
    CommentsByTicketAlone: WithoutPolicies at "GET /shops/{shop}/tickets/{ticket}/comments", "canary", "Comments are found by the id of their ticket alone.";
    JoinByCodeAlone: WithoutPolicies at "GET /shops/{shop}/board", "canary", "A join to labels compares codes, which every shop has, and not tenants.";
    CursorReachesOver: WithoutPolicies at "GET /shops/{shop}/tickets", "canary", "With a cursor, the next page goes on in all shops.";
    CursorHoldsAForeignRow: WithoutPolicies at "GET /shops/{shop}/tickets", "canary", "The cursor is the base64 of another shop's row.";
    FilterOutsideOfBrackets: WithoutPolicies at "GET /shops/{shop}/tickets", "canary", "A filter is connected by `or`, outside of the brackets.";
    RedirectByIdAlone: WithoutPolicies at "GET /shops/{shop}/t/{ticket}", "canary", "A redirect's `Location` has the subject of another shop's ticket.";
    ErrorNamesAForeignTicket: WithoutPolicies at "POST /shops/{shop}/tickets", "canary", "A conflict names the ticket of another shop that has the reference.";
    ForbiddenIfForeign: WithoutPolicies at "GET /shops/{shop}/tickets/{ticket}", "get different responses", "A ticket of another shop is 403, an unknown one 404.";
    CommentOnAForeignTicket: WithoutPolicies at "POST /shops/{shop}/tickets/{ticket}/comments", "get different responses", "A comment is made on another shop's ticket.",
        sql "alter table helpdesk.comments drop constraint comments_ticket_id_fkey";
    UpsertOntoAForeignId: WithoutPolicies at "PUT /shops/{shop}/tickets/{ticket}", "the data of A changed", "An upsert finds its conflict in another shop.",
        sql "create unique index tickets_id_key on helpdesk.tickets (id)";
    BatchChecksTheFirst: WithoutPolicies at "POST /shops/{shop}/close", "the data of A changed", "Of several ids only the first is checked.";
    CountOverAllShops: WithoutPolicies at "GET /shops/{shop}/stats", "activity of other tenants changes the response", "A count is over all shops.";
    TotalOverAllShops: WithoutPolicies at "GET /shops/{shop}/tickets", "activity of other tenants changes the response", "A header has the number of all shops' tickets.";
    TagOverAllShops: WithoutPolicies at "GET /shops/{shop}/tickets", "activity of other tenants changes the response", "An entity tag changes with any shop's tickets.";
    NumberOverAllShops: WithoutPolicies at "POST /shops/{shop}/tickets", "counts what other tenants did", "A ticket's number is the highest of all shops and one.";
    DigestOverAllShops: WithoutPolicies at "POST /shops/{shop}/jobs/digest", "a row of another tenant holds", "A digest copies the subjects of all shops into one.";
    JobOverAllShops: WithoutPolicies at "POST /shops/{shop}/jobs/close", "the data of A or B changed", "A job closes the tickets of all shops.";

    // What policies do not reach.
    CacheWithoutShop: Isolation at "GET /shops/{shop}/tickets", "canary", "The cache of lists has no shop in its keys.";
    CacheByCaller: Isolation at "GET /shops/{shop}/tickets", "the canary of their other tenant", "The cache of lists has the caller in its keys and no shop.";
    ShopMemoized: Isolation at "GET /shops/{shop}", "canary", "The shop is remembered for the process.";
    ShopOfAHeader: Isolation at "POST /shops/{shop}/tickets", "the data of A changed", "A ticket is made in the shop that a header names.";
    ShopOfTheBody: Isolation at "POST /shops/{shop}/tickets", "the data of A changed", "A ticket is made in the shop that the body names.";
    ShopOfTheQuery: Isolation at "GET /shops/{shop}/export", "canary", "The export is of the shop that the query names.";
    BoardOutsideTheGuards: Isolation at "GET /shops/{shop}/board", "canary", "A route stands outside of the guards and asks nothing.";
    StatsOutsideTheGuards: Isolation at "GET /shops/{shop}/stats", "get different responses", "A route without texts stands outside of the guards.";
    KeyIsASession: Isolation at "GET /shops/{shop}", "it works there", "An API key is taken for a session of its holder.";
    KeyRemembered: Isolation at "GET /shops/{shop}", "a revoked API key still works", "What a key stands for is remembered, and the key is not looked at again.";
    KeyActsAsTheOwner: Isolation at "GET /shops/{shop}", "an API key outlives its holder", "A key acts as the owner of its shop.";
    NoMembershipAsked: Isolation at "GET /shops/{shop}", "canary", "A route asks who is calling, and not whether they are a member.";
    FileOfAnyShop: Isolation at "GET /shops/{shop}/files/{file}", "canary", "Files are kept by name, without the shop.";
    FileOverwritten: Isolation at "GET /shops/{shop}/files/{file}, PUT /shops/{shop}/files/{file}", "changes the response", "A file overwrites those of the same name in other shops.";
    NumberOfASequence: Isolation at "POST /shops/{shop}/tickets", "counts what other tenants did", "Tickets of all shops are numbered by one sequence.",
        sql "create sequence helpdesk.numbers; grant usage on sequence helpdesk.numbers to mt_app";
    LastWriteOfTheProcess: Isolation at "GET /shops/{shop}/tickets, POST /shops/{shop}/tickets", "activity of other tenants changes the response", "A header tells when any shop was written last.";
    EntryInTheNamedShop: Isolation at "POST /shops/{shop}/tickets", "the data of A changed", "The audit entry goes to the shop that the body names.";

    // What does not work at all, and would pass a check that only looks for leaks.
    EmptyAnswer: Isolation at "GET /shops/{shop}/tickets/{ticket}", "no member is shown the canary", "A read answers 200 with nothing.";
    AlwaysFails: Isolation at "GET /shops/{shop}/tickets/{ticket}", "the application fails", "A read answers 500.";
    RefusesEveryMember: Isolation at "GET /shops/{shop}/tickets/{ticket}", "no member of its own tenant can call it", "A read is refused to everyone.";
    ChangesNothing: Isolation at "PATCH /shops/{shop}/tickets/{ticket}", "succeeds and changes nothing", "A change answers 204 and changes nothing.";
    ForgottenCommit: Isolation at "POST /shops/{shop}/tickets", "succeeds and changes nothing", "A ticket is made and not committed.";

    // Who may do what.
    DeleteUnderTheWritePermission: Matrix at "DELETE /shops/{shop}/tickets/{ticket}", "agent      204  delete helpdesk.comments, delete helpdesk.tickets",
        "Deleting a ticket asks for the permission to write.";
    DeleteTakesLabelsAlong: Matrix at "DELETE /shops/{shop}/tickets/{ticket}", "delete helpdesk.labels", "Deleting a ticket deletes the labels of the shop.";
    ExportForEveryMember: Matrix at "GET /shops/{shop}/export", "viewer     200", "The export asks for the permission to read.";
    InviteOfAnyRole: Matrix at "POST /shops/{shop}/invites", "agent      201", "An agent invites an owner.";
    NothingRecorded: Matrix at "POST /shops/{shop}/tickets", "owner      201  insert helpdesk.tickets", "A ticket is made without an audit entry.";
    RouteThatNoCheckNames: Completeness, "the check does not name it", "A route was added and the check was not told.";

    // What the library or Postgres refuses.
    ChangeUnderAReadPermission: RunTime at "PATCH /shops/{shop}/tickets/{ticket}", "read-only transaction", "A ticket is changed under a permission that reads.";
    ChangeMovesToAnotherShop: RunTime at "PATCH /shops/{shop}/tickets/{ticket}", "row-level security", "A change moves the ticket to the shop that the body names.";
    ChangeBesideTheEntry: RunTime at "PATCH /shops/{shop}/tickets/{ticket}", "read-only transaction", "Beside the change that is recorded, another one goes under a permission that reads.";
    CommitByHand: RunTime at "PATCH /shops/{shop}/tickets/{ticket}", "begins with `commit`", "A statement ends the transaction before the entry is written.";
    RoleTakenOn: RunTime at "GET /shops/{shop}/members", "begins with `set`", "A statement takes the role on that sees all tenants.";
    TenantSetByHand: RunTime at "GET /shops/{shop}/export", "was not set by what opened it", "A statement sets the tenant to the one that the query names.";
    BoardByHand: RunTime at "GET /shops/{shop}/board", "was not set by what opened it", "A route outside of the guards sets the tenant by hand, with the server's login.";
    JobAsSystem: RunTime at "POST /shops/{shop}/jobs/close", "permission denied", "A job runs as the role that sees all tenants.";
    IsolateWithoutTenant: RunTime, "needs a column", "A migration isolates a table without `tenant_id`.",
        sql "create table helpdesk.a (id uuid primary key); select mt.isolate('helpdesk.a')";
    IsolateNullableTenant: RunTime, "needs a column", "A migration isolates a table whose `tenant_id` may be null.",
        sql "create table helpdesk.a (tenant_id uuid, id uuid); select mt.isolate('helpdesk.a')";
    IsolateKeyOfIdAlone: RunTime, "must begin with tenant_id", "A migration isolates a table whose primary key is the id.",
        sql "create table helpdesk.a (tenant_id uuid not null, id uuid primary key); select mt.isolate('helpdesk.a')";
    IsolateUniqueWithoutTenant: RunTime, "must contain tenant_id", "A migration isolates a table with a unique index that tells.",
        sql "create table helpdesk.a (tenant_id uuid, id uuid, name text unique, primary key (tenant_id, id)); \
             select mt.isolate('helpdesk.a')";
    IsolateForeignKeyWithoutTenant: RunTime, "must match tenant_id", "A migration isolates a table that points into other shops.",
        sql "create unique index tickets_id_key on helpdesk.tickets (id); \
             create table helpdesk.a (tenant_id uuid, id uuid, ticket_id uuid references helpdesk.tickets (id), \
                 primary key (tenant_id, id)); select mt.isolate('helpdesk.a')";
    IsolateBesideAPolicy: RunTime, "would widen what is visible", "A migration isolates a table that has a policy already.",
        sql "create table helpdesk.a (tenant_id uuid, id uuid, primary key (tenant_id, id)); \
             create policy all_rows on helpdesk.a using (true); select mt.isolate('helpdesk.a')";

    // What only the catalogue shows.
    PoliciesOff: Audit, "rls-disabled", "Row-level security is switched off.",
        sql "alter table helpdesk.tickets disable row level security";
    PoliciesNotForced: Audit, "rls-not-forced", "The owner of a table is not bound by its policies.",
        sql "alter table helpdesk.tickets no force row level security";
    PolicyOfEveryRow: Audit, "policy-always-true", "One more policy shows every row.",
        sql "create policy support on helpdesk.tickets for select to mt_app using (true)";
    PolicyOfEveryRole: Audit, "policy-for-everybody", "A policy is for roles to come as well.",
        sql "create policy own on helpdesk.tickets using (tenant_id = (select mt.tenant_id()))";
    PolicyWithoutTenant: Audit, "policy-ignores-tenant", "A policy shows open tickets of all shops.",
        sql "create policy open on helpdesk.tickets for select to mt_app using (status = 'open')";
    PolicyReadPerRow: Audit, "policy-per-row", "A policy asks for the tenant for each row.",
        sql "create policy own on helpdesk.tickets for select to mt_app \
             using (tenant_id = mt.sealed_tenant_id())";
    PolicyOfTheLibraryDropped: Audit, "policy-missing", "A policy of the library's own is dropped.",
        sql "drop policy fellow on mt.users";
    PolicyDropped: Audit, "command-without-policy", "The policy of a table is dropped.",
        sql "drop policy mt_isolation on helpdesk.labels";
    ViewOfTheOwner: Audit, "view-of-its-owner", "A view reads with its owner's rights.",
        sql "create view helpdesk.open as select * from helpdesk.tickets where status = 'open'; \
             grant select on helpdesk.open to mt_app";
    ViewMaterialized: Audit, "materialized-view", "A materialized view holds the rows of all shops.",
        sql "create materialized view helpdesk.counts as select tenant_id, count(*) from helpdesk.tickets \
             group by 1; grant select on helpdesk.counts to mt_app";
    FunctionOfTheOwner: Audit, "definer-executable", "A function reads with its owner's rights.",
        sql "create function helpdesk.subjects() returns setof text language sql security definer \
             set search_path = pg_catalog, pg_temp as 'select subject from helpdesk.tickets'";
    FunctionUnpinned: Audit, "definer-unpinned", "A function with its owner's rights takes the caller's `search_path`.",
        sql "create function helpdesk.subjects() returns setof text language sql security definer \
             as 'select subject from helpdesk.tickets'";
    ForeignKeyWithoutTenant: Audit, "foreign-key-omits-tenant", "A foreign key points into other shops.",
        sql "create unique index tickets_id_key on helpdesk.tickets (id); \
             alter table helpdesk.comments add foreign key (ticket_id) references helpdesk.tickets (id)";
    UniqueWithoutTenant: Audit, "unique-omits-tenant", "A unique index tells which references other shops have.",
        sql "create unique index tickets_reference_all on helpdesk.tickets (reference)";
    IndexDropped: Audit, "index-missing", "No index of a table begins with the tenant.",
        sql "create table helpdesk.a (tenant_id uuid not null, id uuid primary key); \
             alter table helpdesk.a enable row level security, force row level security; \
             create policy own on helpdesk.a to mt_app using (tenant_id = (select mt.tenant_id())); \
             grant select on helpdesk.a to mt_app";
    TenantMayBeNull: Audit, "tenant-nullable", "Rows of a table may belong to no shop.",
        sql "create table helpdesk.a (tenant_id uuid, id uuid); \
             grant select on helpdesk.a to mt_app";
    TenantForgotten: Audit, "tenant-missing", "A table has no `tenant_id` and can be read.",
        sql "create table helpdesk.a (id uuid primary key, text text); grant select on helpdesk.a to mt_app";
    GrantedToPublic: Audit, "privilege-of-public", "Every login may read a table.",
        sql "grant select on helpdesk.tickets to public";
    MayTruncate: Audit, "privilege-past-policies", "The application may truncate a table of all shops.",
        sql "grant truncate on helpdesk.tickets to mt_app";
    MayCreate: Audit, "role-creates", "The application may make tables and functions of its own.",
        sql "grant create on schema helpdesk to mt_app";
    OwnsATable: Audit, "role-owns", "The application owns a table and may switch policies off.",
        sql "alter table helpdesk.tickets owner to mt_app";
    LoginHasItAll: Audit, "login-inherits", "The login sees all shops without taking a role on.",
        sql "alter role <login> inherit; revoke mt_system from <login>; grant mt_system to <login>";
    PolicyMentionsTheTenant: Audit, "policy-ignores-tenant", "A policy asks whether there is a tenant, and not which.",
        sql "create policy open on helpdesk.tickets for select to mt_app \
             using ((select current_setting('mt.tenant_id', true)) is not null)";
    PolicyOrElse: Audit, "policy-ignores-tenant", "A policy has the tenant's condition below an `or`.",
        sql "alter policy mt_isolation on helpdesk.tickets using (status = 'open' \
             or tenant_id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))";
    PolicyOfTheSystem: Audit, "policy-for-system", "The role that sees all tenants sees the tickets.",
        sql "grant select on helpdesk.tickets to mt_system; \
             create policy all_shops on helpdesk.tickets to mt_system using (true)";
    PolicyOfAnotherRole: Audit, "policy-for-unknown-role", "A policy shows every row to the login.",
        sql "create policy reports on helpdesk.tickets for select to <login> using (true)";
    PolicyOfTheLibraryWidened: Audit, "policy-differs", "A policy of the library's shows the shops of a plan.",
        sql "alter policy tenant on mt.tenants using (plan = 'free' \
             or id = (select nullif(current_setting('mt.tenant_id', true), '')::uuid))";
    ViewInAnotherSchema: Audit, "view-of-its-owner", "A view that reads with its owner's rights is in another schema.",
        sql "create schema reports; grant usage on schema reports to mt_app; \
             create view reports.open as select * from helpdesk.tickets; grant select on reports.open to mt_app";
    MaterializedInAnotherSchema: Audit, "materialized-view", "A materialized view is in another schema.",
        sql "create schema reports; grant usage on schema reports to mt_app; \
             create materialized view reports.counts as select tenant_id, count(*) from helpdesk.tickets group by 1; \
             grant select on reports.counts to mt_app";
    FunctionInAnotherSchema: Audit, "definer-executable", "A function with its owner's rights is in another schema.",
        sql "create schema reports; grant usage on schema reports to mt_app; \
             create function reports.subjects() returns setof text language sql security definer \
             set search_path = pg_catalog, pg_temp as 'select subject from helpdesk.tickets'";
    ColumnGrantedToPublic: Audit, "privilege-of-public", "Every login may read a column.",
        sql "grant select (subject) on helpdesk.tickets to public";
    TokensCanBeRead: Audit, "privilege-unexpected", "The application may read the hashes of invites' tokens.",
        sql "grant select (token_hash) on mt.invites to mt_app";
    PlansCanBeChanged: Audit, "privilege-unexpected", "A shop may give itself another plan.",
        sql "grant update (plan) on mt.tenants to mt_app";
    TablesToComeAreOpen: Audit, "default-privilege", "Tables to come can be read before they have policies.",
        sql "alter default privileges for role mt_owner in schema helpdesk grant select on tables to mt_app";
    TemporaryTables: Audit, "temporary-tables", "A shop's temporary tables show to the next shop of the connection.",
        sql "grant temporary on database <database> to public";
    EveryLoginConnects: Audit, "connect-of-public", "Logins of other services may connect.",
        sql "grant connect on database <database> to public";
    LoginReadsEverything: Audit, "role-may-become", "The login may become a role that policies do not bind.",
        sql "do $$ begin execute format('grant %I to <login>', current_user); end $$";
    LoginMakesRoles: Audit, "role-makes-roles", "The login may make roles, and with them become more.",
        sql "alter role <login> createrole";
    LoginSkipsPolicies: Audit, "role-skips-policies", "No policy binds the login.",
        sql "alter role <login> bypassrls";
    ChangesPublished: Audit, "published", "A publication sends every shop's changes.",
        sql "create publication changes for table helpdesk.tickets";
    ForeignTableReadable: Audit, "foreign-table", "A foreign table has no policies.",
        sql "create foreign data wrapper nowhere; create server there foreign data wrapper nowhere; \
             create foreign table helpdesk.remote (subject text) server there; \
             grant select on helpdesk.remote to mt_app";
    LibraryFunctionReplaced: Audit, "library-differs", "A function that policies call is not the library's.",
        sql "create or replace function mt.tenant_id() returns uuid language sql stable \
             as 'select nullif(current_setting(''mt.shop'', true), '''')::uuid'";
}
