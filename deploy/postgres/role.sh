#!/bin/sh
# Run once by the PostgreSQL image, when its database is made: the role and database of Sextant.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" --username postgres --dbname postgres <<'SQL'
CREATE ROLE sextant LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE sextant OWNER sextant;
SQL
