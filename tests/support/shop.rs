//! A small shop that is always busy: random transactions with inserts, updates, deletes, changed keys, rollbacks and savepoints, on
//! tables with a key and on one without; and, when asked for, upheavals of whole tables.
//!
//! Each writer works on rows of its own, now and then on another's. The same seed makes the same choices; how transactions
//! interleave is up to Postgres, and what became of them is in its [`Audit`](crate::Audit).

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{Audit, Login, Postgres, Table};

const SCHEMA: &str = "
create table public.orders (
  id bigint primary key, writer int not null, version int not null default 0, customer text not null, qty int not null,
  price numeric(12,2) not null, paid boolean not null default false, attributes jsonb, note text, due date, placed_at timestamptz not null
);
create index on public.orders (writer, id);
create table public.stock (
  sku uuid, shelf int, writer int not null, version int not null default 0, level double precision, picture bytea, primary key (sku, shelf)
);
create sequence public.order_ids;
create table public.visits (writer int not null, n bigint not null, page text, seconds real);
alter table public.visits replica identity full;
create sequence public.visit_ids;
";

/// What turns a table upside down: its columns come and go, its rows move or go all at once. Nothing of it may be lost on the log.
const UPHEAVALS: [&str; 9] = [
    "truncate visits",
    "vacuum full visits",
    "vacuum full orders",
    "vacuum full stock",
    "alter table visits add column if not exists extra_visit int default 7",
    "alter table visits drop column if exists extra_visit",
    "alter table orders add column if not exists extra_order text default 'extra'",
    "alter table orders drop column if exists extra_order",
    "analyze orders; cluster orders using orders_pkey",
];

/// How busy the shop is.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// Makes all choices.
    pub seed: u64,
    /// Orders that are there before anything else happens.
    pub orders: u32,
    /// How many writers work at the same time.
    pub writers: u32,
    /// How long a writer rests after a transaction.
    pub pause: Duration,
    /// How many rows the larger steps of a large transaction change at most, or none: then there are no large ones.
    pub large_rows: u32,
}

/// The tables and their writers.
pub struct Shop {
    tables: Vec<Table>,
    stop: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Result<()>>>,
}

impl Shop {
    /// Makes the tables, fills them, and notes all changes from the first on.
    pub async fn open(postgres: &Postgres, database: &str, options: &ShopOptions) -> Result<Self> {
        let client = postgres.connect(database).await?;
        client.batch_execute(SCHEMA).await.context("making the shop's tables")?;
        let mut tables = Vec::new();
        for name in ["public.orders", "public.stock", "public.visits"] {
            let table = Table::describe(&client, name).await?;
            let table = if table.key.is_empty() { table.told_apart_by(&["writer", "n"]) } else { table };
            Audit::install(&client, &table).await?;
            tables.push(table);
        }
        client
            .batch_execute(&format!(
                "insert into orders select nextval('order_ids'), i % {writers}, 0, 'customer ' || i, i % 9 + 1, i % 10000 / 100.0, \
                 i % 2 = 0, jsonb_build_object('i', i), null, date '2026-01-01' + i % 365, timestamptz '2026-01-01' + i * interval '1 s' \
                 from generate_series(1, {orders}) i",
                writers = options.writers.max(1),
                orders = options.orders,
            ))
            .await?;
        Ok(Self { tables, stop: Arc::default(), transactions: Arc::default(), writers: Vec::new() })
    }

    /// The captured tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Lets the writers begin.
    pub async fn begin(&mut self, postgres: &Postgres, database: &str, options: &ShopOptions) -> Result<()> {
        for number in 0..options.writers {
            let login = postgres.login(database);
            let writer = Writer {
                client: login.connect().await?,
                login,
                rng: StdRng::seed_from_u64(options.seed.wrapping_mul(31).wrapping_add(u64::from(number))),
                number,
                writers: options.writers,
                large_rows: options.large_rows,
            };
            let (stop, done, pause) = (self.stop.clone(), self.transactions.clone(), options.pause);
            self.writers.push(tokio::spawn(writer.work(stop, done, pause)));
        }
        Ok(())
    }

    /// Has whole tables turned upside down now and then, with such a pause in between.
    pub async fn begin_upheavals(
        &mut self,
        postgres: &Postgres,
        database: &str,
        seed: u64,
        pause: Duration,
    ) -> Result<()> {
        let (login, stop) = (postgres.login(database), self.stop.clone());
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(37));
        let mut client = login.connect().await?;
        self.writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(pause).await;
                let Some(upheaval) = UPHEAVALS.get(rng.random_range(0..UPHEAVALS.len())) else { continue };
                // Whoever holds the table for long is not waited for.
                let statements = std::iter::once("set lock_timeout = '500ms'").chain(upheaval.split("; "));
                for statement in statements {
                    match client.batch_execute(statement).await {
                        Err(error) if is_server_trouble(&error) => {
                            if let Ok(again) = login.connect().await {
                                client = again;
                            }
                        }
                        Err(error) if !is_beaten(&error) => return Err(error).context(*upheaval),
                        _ => {}
                    }
                }
            }
            Ok(())
        }));
        Ok(())
    }

    /// How many transactions have ended, one way or the other.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Lets the writers finish what they are at.
    pub async fn close(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            writer.await??;
        }
        Ok(())
    }
}

/// How long a writer waits before it tries to connect again.
const SERVER_PAUSE: Duration = Duration::from_millis(100);

/// The server went away, or cannot write: neither is the transaction's fault.
fn is_server_trouble(error: &tokio_postgres::Error) -> bool {
    let classes = ["08", "53", "57", "58"];
    error.is_closed() || error.code().is_none_or(|code| classes.iter().any(|class| code.code().starts_with(class)))
}

/// Two may wait for each other, or meet in a key: Postgres ends one of them, and nothing of it remains.
fn is_beaten(error: &tokio_postgres::Error) -> bool {
    let expected = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION, SqlState::LOCK_NOT_AVAILABLE];
    error.code().is_some_and(|code| expected.contains(code))
}

struct Writer {
    client: Client,
    login: Login,
    rng: StdRng,
    number: u32,
    writers: u32,
    large_rows: u32,
}

impl Writer {
    async fn work(mut self, stop: Arc<AtomicBool>, done: Arc<AtomicU64>, pause: Duration) -> Result<()> {
        self.client.batch_execute("set time zone 'UTC'").await?;
        while !stop.load(Ordering::Relaxed) {
            let transaction = self.transaction();
            if let Err(error) = self.client.batch_execute(&transaction).await {
                if is_server_trouble(&error) {
                    self.wait_for_server(&stop).await;
                    continue;
                }
                if !is_beaten(&error) {
                    return Err(error).with_context(|| format!("running {transaction}"));
                }
                self.client.batch_execute("rollback").await?;
            }
            done.fetch_add(1, Ordering::Relaxed);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    /// Whether the transaction that was under way is in the database, its audit knows.
    async fn wait_for_server(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(SERVER_PAUSE).await;
            if let Ok(client) = self.login.connect().await
                && client.batch_execute("set time zone 'UTC'").await.is_ok()
            {
                self.client = client;
                return;
            }
        }
    }

    fn transaction(&mut self) -> String {
        if self.large_rows > 0 && self.rng.random_ratio(1, 60) {
            return self.large_transaction();
        }
        let mut sql = "begin;\n".to_owned();
        let steps = if self.rng.random_ratio(1, 40) { 200 } else { self.rng.random_range(1..=6) };
        for step in 0..steps {
            let savepoint = self.rng.random_ratio(1, 6);
            if savepoint {
                let _ = writeln!(sql, "savepoint s{step};");
            }
            let statement = self.statement();
            let _ = writeln!(sql, "{statement};");
            if savepoint {
                let how = if self.rng.random_bool(0.5) { "rollback to" } else { "release" };
                let _ = writeln!(sql, "{how} s{step};");
            }
        }
        sql.push_str(if self.rng.random_ratio(1, 7) { "rollback" } else { "commit" });
        sql
    }

    /// Rows in bulk, some of them undone, the rest changed and in part removed again.
    fn large_transaction(&mut self) -> String {
        let mut sql = "begin;\n".to_owned();
        for step in 0..self.rng.random_range(1..=3) {
            let (number, rows) = (self.number, self.rng.random_range(1..=self.large_rows));
            let insert = format!(
                "insert into orders select nextval('order_ids'), {number}, 0, 'many ' || i, i % 9, i, false, null, null, null, clock_timestamp() \
                 from generate_series(1, {rows}) i"
            );
            let _ = writeln!(sql, "savepoint s{step}; {insert}; rollback to s{step}; {insert};");
        }
        let (number, part) = (self.number, self.rng.random_range(2..5));
        let _ = writeln!(
            sql,
            "update orders set version = version + 1 where writer = {number} and customer like 'many %' and id % {part} = 0;\n\
             delete from orders where writer = {number} and customer like 'many %' and id % {part} <> 0;"
        );
        sql.push_str(if self.rng.random_ratio(1, 4) { "rollback" } else { "commit" });
        sql
    }

    fn statement(&mut self) -> String {
        let owner = if self.rng.random_ratio(1, 12) { self.rng.random_range(0..self.writers) } else { self.number };
        let some_order = format!(
            "(select id from orders where writer = {owner} and id >= {} order by id limit 1)",
            self.rng.random_range(0..5000)
        );
        let some_shelf = format!(
            "(select ctid from stock where writer = {owner} order by md5(sku::text || {}) limit 1)",
            self.rng.random::<u16>()
        );
        match self.rng.random_range(0..120) {
            100..112 => {
                let (page, seconds) = (self.note(), f64::from(self.rng.random_range(0..1000)) / 4.0);
                let number = self.number;
                format!(
                    "insert into visits (writer, n, page, seconds) values ({number}, nextval('visit_ids'), {page}, {seconds})"
                )
            }
            112..117 => format!(
                "update visits set page = {}, seconds = seconds + 0.25 where ctid = \
                 (select ctid from visits where writer = {owner} order by n desc limit 1)",
                self.note()
            ),
            117..120 => format!(
                "delete from visits where ctid = (select ctid from visits where writer = {owner} order by n limit 1)"
            ),
            0..35 => {
                let note = self.note();
                format!(
                    "insert into orders values (nextval('order_ids'), {}, 0, 'customer {}', {}, {}.{:02}, {}, {}, {note}, {}, clock_timestamp())",
                    self.number,
                    self.rng.random_range(0..500),
                    self.rng.random_range(-5..100),
                    self.rng.random_range(-999..9999),
                    self.rng.random_range(0..100),
                    self.rng.random_bool(0.5),
                    if self.rng.random_bool(0.7) { "'{\"gift\": true, \"tags\": [\"a\", \"ü\"]}'" } else { "null" },
                    if self.rng.random_bool(0.7) { "current_date + 7" } else { "null" },
                )
            }
            35..65 => format!(
                "update orders set version = version + 1, qty = {}, paid = not paid where id = {some_order}",
                self.rng.random_range(0..100)
            ),
            65..70 => {
                format!("update orders set version = version + 1, note = {} where id = {some_order}", self.note())
            }
            70..80 => format!("delete from orders where id = {some_order}"),
            80..85 => {
                format!("update orders set version = version + 1, id = nextval('order_ids') where id = {some_order}")
            }
            85..93 => format!(
                "insert into stock values (md5('{}')::uuid, {}, {}, 0, {}, '\\x{:08x}')",
                self.rng.random::<u64>(),
                self.rng.random_range(0..4),
                self.number,
                f64::from(self.rng.random_range(-1000..1000)) / 8.0,
                self.rng.random::<u32>(),
            ),
            93..97 => format!("update stock set version = version + 1, level = level + 0.5 where ctid = {some_shelf}"),
            97..=98 => format!("update stock set version = version + 1, shelf = shelf + 10 where ctid = {some_shelf}"),
            _ => format!("delete from stock where ctid = {some_shelf}"),
        }
    }

    /// Mostly short, sometimes long and so random that Postgres keeps it apart from its row.
    fn note(&mut self) -> String {
        match self.rng.random_range(0..12) {
            0..4 => "null".to_owned(),
            4..11 => format!("'it''s note {} — \\ \" \t ✓'", self.rng.random::<u32>()),
            _ => {
                let seed = self.rng.next_u32();
                format!("(select string_agg(md5('{seed}' || i), '') from generate_series(1, 200) i)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Shop, ShopOptions};
    use crate::{Audit, Postgres, PostgresOptions, eventually};

    #[tokio::test]
    async fn the_audit_knows_what_became_of_every_row() {
        let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
        postgres.create_database("shop").await.unwrap();
        let options = ShopOptions { seed: 7, orders: 200, writers: 3, pause: Duration::ZERO, large_rows: 50 };
        let mut shop = Shop::open(&postgres, "shop", &options).await.unwrap();
        shop.begin(&postgres, "shop", &options).await.unwrap();
        eventually("some business", Duration::from_secs(30), || async {
            anyhow::ensure!(shop.transactions() > 400, "{} transactions", shop.transactions());
            Ok(())
        })
        .await
        .unwrap();
        shop.close().await.unwrap();
        let client = postgres.connect("shop").await.unwrap();
        let mut changes = 0;
        for table in shop.tables() {
            let audit = Audit::load(&client, table).await.unwrap();
            assert_eq!(audit.rows(), table.rows(&client).await.unwrap(), "{}", table.name);
            changes += audit.len();
        }
        assert!(changes > 400, "{changes} changes");
        postgres.stop().await.unwrap();
    }
}
