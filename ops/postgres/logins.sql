-- The database `mt` and its logins. As `mt_migrator`, `mt-server migrate` makes everything else. The server logs in as
-- `mt_server` for transactions of orgs and as `mt_server_system` for what crosses orgs; neither owns anything. These two
-- have one password: what keeps them apart is what they may become. For psql, as a superuser. The image of Postgres runs
-- it when it makes its cluster, and ops/postgres/logins anywhere else.
--
-- The passwords come from the environment, since arguments can be read by every user of the machine. One that
-- is not set is a syntax error.

\set ON_ERROR_STOP on
\getenv migrator_password MT_MIGRATOR_PASSWORD
\getenv server_password MT_SERVER_PASSWORD
create role mt_migrator login createrole password :'migrator_password';
create role mt_server login noinherit password :'server_password';
create role mt_server_system login noinherit password :'server_password';
create database mt;
revoke all on database mt from public;
grant connect, create on database mt to mt_migrator;
grant connect on database mt to mt_server, mt_server_system;
\connect mt
revoke all on schema public from public;
