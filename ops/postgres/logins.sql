-- The database `mt` and its two logins: `mt_migrator`, as which `mt-server migrate` makes everything else, and
-- `mt_server`, as which the server logs in and which owns nothing. For psql, as a superuser. The image of
-- Postgres runs it when it makes its cluster, and ops/postgres/logins anywhere else.
--
-- The passwords come from the environment, since arguments can be read by every user of the machine. One that
-- is not set is a syntax error.

\set ON_ERROR_STOP on
\getenv migrator_password MT_MIGRATOR_PASSWORD
\getenv server_password MT_SERVER_PASSWORD
create role mt_migrator login createrole password :'migrator_password';
create role mt_server login noinherit password :'server_password';
create database mt;
revoke all on database mt from public;
grant connect, create on database mt to mt_migrator;
grant connect on database mt to mt_server;
\connect mt
revoke all on schema public from public;
