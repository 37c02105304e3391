//! A random workload on random tables: interleaved transactions with savepoints, changed keys, truncation, messages, and changes of
//! the tables themselves.
//!
//! Three sessions write. Each owns the rows whose number leaves its own remainder, so that none ever waits for another; what locks whole
//! tables is done while no transaction is open.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kinds::{EXTENSIONS, TYPES, kind};
use crate::script::{PROGRESS, Script, Step};
use crate::table::{Column, Identity, Shape, Table, quoted};

const SESSIONS: u8 = 3;

/// How a workload is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) tables: u32,
    pub(crate) steps: u32,
    /// Rows of the one large transaction.
    pub(crate) large: u32,
    /// Whether every table has the replica identity FULL.
    pub(crate) full: bool,
}

/// The workload of a seed.
pub(crate) fn generate(seed: u64, size: Size) -> Script {
    let mut writer = Writer {
        rng: StdRng::seed_from_u64(seed),
        steps: Vec::new(),
        tables: Vec::new(),
        rows: Vec::new(),
        next_row: 1,
        next_table: 0,
        moods: 0,
        prepared: 0,
        stopped: false,
        open: Default::default(),
        full: size.full,
    };
    writer.begin(size.tables);
    for _ in 0..size.steps {
        writer.step();
    }
    writer.settle();
    writer.replicated();
    writer.large(size.large);
    Script { steps: writer.steps }
}

/// The live rows of every table, by session.
type Rows = Vec<[BTreeSet<u32>; SESSIONS as usize]>;

struct Writer {
    rng: StdRng,
    steps: Vec<Step>,
    tables: Vec<Table>,
    rows: Rows,
    next_row: u32,
    next_table: u32,
    moods: u32,
    prepared: u32,
    /// Whether the connectors are stopped.
    stopped: bool,
    /// For each session with an open transaction: its rows at the beginning and at each savepoint.
    open: [Vec<Vec<BTreeSet<u32>>>; SESSIONS as usize],
    full: bool,
}

impl Writer {
    fn sql(&mut self, session: u8, sql: impl Into<String>) {
        self.steps.push(Step::Sql(session, sql.into()));
    }

    fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        self.rng.random_ratio(numerator, denominator)
    }

    fn begin(&mut self, tables: u32) {
        self.steps.extend(EXTENSIONS.map(|name| Step::Prepare(format!("create extension {name}"))));
        for sql in TYPES {
            self.sql(0, sql);
        }
        self.sql(0, format!("create table {PROGRESS} (step int primary key)"));
        for _ in 0..tables {
            self.create_table();
        }
        for table in 0..self.tables.len() {
            for session in 0..SESSIONS {
                let rows = self.fresh_rows(session);
                self.insert(session, table, &rows);
            }
        }
        self.steps.push(Step::Start);
    }

    fn create_table(&mut self) {
        let table = Table::random(&mut self.rng, self.next_table, self.full);
        self.next_table += 1;
        for sql in table.create() {
            self.sql(0, sql);
        }
        self.tables.push(table);
        self.rows.push(Default::default());
    }

    /// A few numbers that no row of any table has had.
    fn fresh_rows(&mut self, session: u8) -> Vec<u32> {
        (0..self.rng.random_range(1..4)).map(|_| self.fresh_row(session)).collect()
    }

    fn fresh_row(&mut self, session: u8) -> u32 {
        self.next_row += 1;
        self.next_row * u32::from(SESSIONS) + u32::from(session)
    }

    fn insert(&mut self, session: u8, table: usize, rows: &[u32]) {
        let sql = self.tables[table].insert(&mut self.rng, rows);
        self.sql(session, sql);
        self.rows[table][usize::from(session)].extend(rows);
    }

    fn step(&mut self) {
        let session = self.rng.random_range(0..SESSIONS);
        if self.chance(1, 25) {
            self.settle();
            return self.change_tables();
        }
        if self.chance(1, 120) {
            return self.pause();
        }
        match self.rng.random_range(0..10) {
            0..3 => self.transaction(session),
            _ => self.change_rows(session),
        }
    }

    /// Begins, ends or marks a transaction of the session.
    fn transaction(&mut self, session: u8) {
        let own = usize::from(session);
        let depth = self.open[own].len();
        let now: Vec<BTreeSet<u32>> = self.rows.iter().map(|rows| rows[own].clone()).collect();
        match (depth, self.rng.random_range(0..8)) {
            (0, _) => {
                self.sql(session, "begin");
                self.open[own].push(now);
            }
            (1..3, 0..3) => {
                self.sql(session, format!("savepoint s{depth}"));
                self.open[own].push(now);
            }
            (2.., 3) => {
                self.sql(session, format!("release s{}", depth - 1));
                self.open[own].pop();
            }
            (2.., 4..6) => {
                self.sql(session, format!("rollback to s{0}; release s{0}", depth - 1));
                self.roll_back(own);
            }
            (_, 6) => {
                self.sql(session, "rollback");
                while !self.open[own].is_empty() {
                    self.roll_back(own);
                }
            }
            _ => self.commit(session),
        }
    }

    /// Commits, now and then in two phases.
    fn commit(&mut self, session: u8) {
        if self.chance(1, 6) {
            self.prepared += 1;
            let name = format!("prepared {}", self.prepared);
            self.sql(session, format!("prepare transaction '{name}'"));
            self.sql(session, format!("commit prepared '{name}'"));
        } else {
            self.sql(session, "commit");
        }
        self.open[usize::from(session)].clear();
    }

    fn roll_back(&mut self, own: usize) {
        for (rows, before) in self.rows.iter_mut().zip(self.open[own].pop().unwrap_or_default()) {
            rows[own] = before;
        }
    }

    fn change_rows(&mut self, session: u8) {
        let own = usize::from(session);
        let table = self.rng.random_range(0..self.tables.len());
        let live: Vec<u32> = self.rows[table][own].iter().copied().collect();
        let what = self.rng.random_range(0..20);
        if what < 6 || live.is_empty() || !self.tables[table].may_change() {
            let rows = self.fresh_rows(session);
            return self.insert(session, table, &rows);
        }
        let row = live[self.rng.random_range(0..live.len())];
        let count = self.rng.random_range(1..=live.len().min(3));
        match what {
            6..13 => {
                let sql = self.tables[table].update(&mut self.rng, live.get(..count).unwrap_or(&[row]));
                self.sql(session, sql);
            }
            13..16 => {
                let to = self.fresh_row(session);
                let sql = self.tables[table].rekey(row, to);
                self.sql(session, sql);
                self.rows[table][own].remove(&row);
                self.rows[table][own].insert(to);
            }
            16..19 => {
                let sql = self.tables[table].delete(&[row]);
                self.sql(session, sql);
                self.rows[table][own].remove(&row);
            }
            _ => {
                let transactional = self.rng.random_bool(0.5);
                let prefix = ["app", "", "Odd \"prefix\""][self.rng.random_range(0..3)];
                self.sql(
                    session,
                    format!("select pg_logical_emit_message({transactional}, '{prefix}', 'content {row}')"),
                );
            }
        }
    }

    /// Ends all transactions and lets both sides catch up.
    fn settle(&mut self) {
        for session in 0..SESSIONS {
            if !self.open[usize::from(session)].is_empty() {
                self.commit(session);
            }
        }
        self.catch_up();
    }

    fn catch_up(&mut self) {
        if !self.stopped && self.steps.last() != Some(&Step::Settle) {
            self.steps.push(Step::Settle);
        }
    }

    /// Stops the connectors while rows are changed, and tables before them or with transactions open over both.
    fn pause(&mut self) {
        let holds_transactions = self.chance(1, 2);
        if holds_transactions {
            self.catch_up();
        } else {
            self.settle();
        }
        self.steps.push(Step::Stop);
        self.stopped = true;
        if !holds_transactions {
            (0..self.rng.random_range(1..4)).for_each(|_| self.change_tables());
        }
        for _ in 0..self.rng.random_range(3..12) {
            let session = self.rng.random_range(0..SESSIONS);
            if self.chance(1, 3) { self.transaction(session) } else { self.change_rows(session) }
        }
        self.steps.push(Step::Resume);
        self.stopped = false;
    }

    /// Changes the tables themselves. Everything before has arrived, so that no side can mistake the new shape for the old one; while
    /// the connectors are stopped, no row is changed on the way.
    fn change_tables(&mut self) {
        let index = self.rng.random_range(0..self.tables.len());
        let number = 100 + self.next_row;
        self.next_row += 1;
        match self.rng.random_range(0..20) {
            0 => self.create_table(),
            13 => self.change_key(index, number),
            14 if !self.stopped => self.require_column(index),
            15 => self.recreate_table(index),
            16 => self.move_table(index),
            17 => self.reattach(index),
            18 => self.rename_mood(),
            1 | 2 if !self.stopped => self.truncate(index),
            3 if !self.stopped => self.add_mood(),
            4..7 => self.add_column(index, number),
            7 => self.drop_column(index),
            8 => self.rename_column(index, number),
            9 => self.widen_column(index, number),
            10 => self.change_default(index),
            11 => self.change_identity(index),
            12 => self.change_nullability(index),
            _ => self.rename_table(index, number),
        }
    }

    fn truncate(&mut self, index: usize) {
        let mut tables = vec![index];
        let other = self.rng.random_range(0..self.tables.len());
        if other != index {
            tables.push(other);
        }
        let names: Vec<String> = tables.iter().map(|table| self.tables[*table].quoted()).collect();
        let how = ["", " restart identity", " cascade"][self.rng.random_range(0..3)];
        self.sql(0, format!("truncate {}{how}", names.join(", ")));
        for table in tables {
            self.rows[table] = Default::default();
        }
    }

    fn add_mood(&mut self) {
        self.moods += 1;
        let place = ["", " before 'sad'", " after 'ok'"][self.rng.random_range(0..3)];
        let mood = format!("'new {}'", self.moods);
        self.sql(0, format!("alter type mood add value {mood}{place}"));
        for index in 0..self.tables.len() {
            let table = &self.tables[index];
            let Some(column) = table.columns.iter().find(|column| column.kind.tag == "enum") else { continue };
            let row = self.rows[index][0].first();
            if let Some(row) = row.filter(|_| table.may_change()) {
                let sql = format!("update {} set {} = {mood} where n = {row}", table.quoted(), quoted(&column.name));
                self.sql(0, sql);
            }
        }
    }

    fn rename_mood(&mut self) {
        if self.moods > 0 {
            let (from, to) = (self.moods, self.moods + 1);
            self.moods = to;
            self.sql(0, format!("alter type mood rename value 'new {from}' to 'new {to}'"));
        }
    }

    fn change_key(&mut self, index: usize, number: u32) {
        let sql = self.tables[index].change_key(&mut self.rng, number);
        sql.into_iter().for_each(|sql| self.sql(0, sql));
    }

    /// Forbids null in a column.
    fn require_column(&mut self, index: usize) {
        let Some(column) = self.some_column(index) else { return };
        let found = &self.tables[index].columns[column];
        if found.not_null || !found.kind.may_be_required() || !self.tables[index].may_change() {
            return;
        }
        let (name, value) = (quoted(&found.name), found.kind.value(&mut self.rng));
        let table = self.tables[index].quoted();
        self.sql(0, format!("update {table} set {name} = {value} where {name} is null"));
        self.catch_up();
        self.alter(index, &format!("alter column {name} set not null"));
        self.tables[index].columns[column].not_null = true;
    }

    /// Drops a table and makes another one of its name.
    fn recreate_table(&mut self, index: usize) {
        let old = &self.tables[index];
        let (schema, name) = (old.schema, old.name.clone());
        if old.partitioned || old.identity == Identity::Index {
            return;
        }
        let drop = format!("drop table {}", old.quoted());
        self.sql(0, drop);
        let mut table = Table::random(&mut self.rng, self.next_table, self.full);
        self.next_table += 1;
        if !table.partitioned && table.identity != Identity::Index {
            (table.schema, table.name) = (schema, name);
        }
        for sql in table.create() {
            self.sql(0, sql);
        }
        self.tables[index] = table;
        self.rows[index] = Default::default();
    }

    /// Moves a table to the other schema.
    fn move_table(&mut self, index: usize) {
        let table = &self.tables[index];
        if table.partitioned || table.identity == Identity::Index {
            return;
        }
        let to = if table.schema == "public" { "Odd Schema" } else { "public" };
        self.alter(index, &format!("set schema {}", quoted(to)));
        self.tables[index].schema = to;
    }

    fn reattach(&mut self, index: usize) {
        if self.tables[index].partitioned {
            self.tables[index].reattach().into_iter().for_each(|sql| self.sql(0, sql));
        }
    }

    fn alter(&mut self, index: usize, what: &str) {
        let sql = format!("alter table {} {what}", self.tables[index].quoted());
        self.sql(0, sql);
    }

    fn add_column(&mut self, index: usize, number: u32) {
        let mut column = Column::random(&mut self.rng, number);
        if column.not_null && column.default.is_none() {
            column.default = Some(column.kind.default(&mut self.rng));
        }
        self.alter(index, &format!("add column {}", column.definition()));
        self.tables[index].columns.push(column);
    }

    /// A column of the table that is not computed; none when there is none.
    fn some_column(&mut self, index: usize) -> Option<usize> {
        let columns = &self.tables[index].columns;
        let plain: Vec<usize> = (0..columns.len()).filter(|i| columns[*i].shape == Shape::Plain).collect();
        (!plain.is_empty()).then(|| plain[self.rng.random_range(0..plain.len())])
    }

    fn drop_column(&mut self, index: usize) {
        let Some(column) = self.some_column(index) else { return };
        let column = self.tables[index].columns.remove(column);
        self.alter(index, &format!("drop column {}", quoted(&column.name)));
    }

    fn rename_column(&mut self, index: usize, number: u32) {
        let Some(column) = self.some_column(index) else { return };
        let from = self.tables[index].columns[column].name.clone();
        let to = format!("{}_{number}", self.tables[index].columns[column].kind.tag);
        self.alter(index, &format!("rename column {} to {}", quoted(&from), quoted(&to)));
        self.tables[index].columns[column].name = to;
    }

    /// Gives a column a type that holds all its values, and a name that fits.
    fn widen_column(&mut self, index: usize, number: u32) {
        const WIDER: [(&str, &str); 12] = [
            ("int2", "int4"),
            ("int4", "int8"),
            ("varchar10", "text"),
            ("numeric10p2", "numeric"),
            ("timestamp3", "timestamp"),
            ("float4", "float8"),
            ("date", "text"),
            ("json", "jsonb"),
            ("uuid", "text"),
            ("int4_array", "int8_array"),
            ("varchar_array", "text_array"),
            ("inet", "text"),
        ];
        let columns = &self.tables[index].columns;
        let mut plain = (0..columns.len()).filter(|column| columns[*column].shape == Shape::Plain);
        let found = plain.find_map(|column| {
            let wider = WIDER.iter().find(|(from, _)| *from == columns[column].kind.tag)?.1;
            Some((column, kind(wider)?))
        });
        let Some((column, wider)) = found else { return };
        let from = self.tables[index].columns[column].name.clone();
        let to = format!("{}_{number}", wider.tag);
        // The default of another type would be a calculation.
        self.alter(index, &format!("alter column {} drop default", quoted(&from)));
        self.tables[index].columns[column].default = None;
        self.alter(index, &format!("alter column {} type {}", quoted(&from), wider.sql));
        self.alter(index, &format!("rename column {} to {}", quoted(&from), quoted(&to)));
        let column = &mut self.tables[index].columns[column];
        column.kind = wider;
        column.name = to;
    }

    fn change_default(&mut self, index: usize) {
        let Some(column) = self.some_column(index) else { return };
        let kind = self.tables[index].columns[column].kind;
        let name = quoted(&self.tables[index].columns[column].name);
        let default = self.rng.random_bool(0.6).then(|| kind.default(&mut self.rng));
        match &default {
            Some(value) => self.alter(index, &format!("alter column {name} set default {value}")),
            None => self.alter(index, &format!("alter column {name} drop default")),
        }
        self.tables[index].columns[column].default = default;
    }

    fn change_nullability(&mut self, index: usize) {
        let Some(column) = self.some_column(index) else { return };
        let name = quoted(&self.tables[index].columns[column].name);
        if self.tables[index].columns[column].not_null {
            self.alter(index, &format!("alter column {name} drop not null"));
            self.tables[index].columns[column].not_null = false;
        }
    }

    fn change_identity(&mut self, index: usize) {
        if self.full {
            return;
        }
        let identities = [Identity::Default, Identity::Full, Identity::Nothing];
        self.tables[index].identity = identities[self.rng.random_range(0..identities.len())];
        for sql in self.tables[index].identify() {
            self.sql(0, sql);
        }
    }

    fn rename_table(&mut self, index: usize, number: u32) {
        // Partitions and indexes are named after their table.
        if self.tables[index].partitioned || self.tables[index].identity == Identity::Index {
            return;
        }
        let name = format!("renamed{number}");
        self.alter(index, &format!("rename to {}", quoted(&name)));
        self.tables[index].name = name;
    }

    /// A transaction that came from another server, and one that did not.
    fn replicated(&mut self) {
        self.sql(0, "create table replicated (id int primary key)");
        for sql in [
            "select pg_replication_origin_create('elsewhere') where not exists \
             (select from pg_replication_origin where roname = 'elsewhere')",
            "select pg_replication_origin_session_setup('elsewhere')",
            "begin; select pg_replication_origin_xact_setup('0/1234', '2020-01-01 10:00+00'); \
             insert into replicated values (1), (2); commit",
            "select pg_replication_origin_session_reset()",
        ] {
            self.steps.push(Step::Prepare(sql.to_owned()));
        }
        self.sql(0, "insert into replicated values (3)");
    }

    /// One large transaction with a savepoint that is rolled back, while another one commits inside of its time.
    fn large(&mut self, rows: u32) {
        let create = "create table large (id int primary key, text_1 text, int4_2 int)";
        let fill = |from: u32, to: u32| {
            format!("insert into large select i, md5(i::text), i % 7 from generate_series({from}, {to}) i")
        };
        self.sql(0, create);
        self.sql(0, format!("begin; {}; savepoint a; {}", fill(1, rows), fill(rows + 1, rows + rows / 2)));
        self.sql(1, fill(2 * rows + 1, 2 * rows + 3));
        self.sql(0, format!("rollback to a; update large set int4_2 = -1 where id % 5 = 0; delete from large where id % 7 = 0; {}; commit", fill(3 * rows, 3 * rows + 5)));
        self.steps.push(Step::Settle);
    }
}
