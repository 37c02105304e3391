//! Whoever reads what in whatever order, dies and comes back: each row is delivered once, and `first` and `last` mean it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A table: the addresses of its rows.
#[derive(Clone, Debug)]
struct Model {
    rows: Vec<u64>,
    step: u64,
}

/// A reader at work on a piece.
struct Reading {
    piece: Piece,
    left: Vec<u64>,
    begun: bool,
}

/// What is in the log, and what the ledger says beside it.
#[derive(Default)]
struct Log {
    rows: Vec<(usize, u64, Marker)>,
    ledger: BTreeMap<usize, (Ranges, u64)>,
}

impl Log {
    fn queue(&self, tables: &[Model]) -> Queue {
        let mut queue = Queue::default();
        for unit in 0..tables.len() {
            let (read, rows) = self.ledger.get(&unit).cloned().unwrap_or_default();
            queue.enter(read, rows);
        }
        queue
    }

    /// Records and ledger become durable together.
    fn commit(&mut self, queue: &Queue, unit: usize, rows: impl IntoIterator<Item = (usize, u64, Marker)>) {
        self.rows.extend(rows);
        let (read, rows) = queue.progress(unit).expect("a table");
        self.ledger.insert(unit, (read.clone(), rows));
    }
}

/// One life of a snapshot: until everything is read, or the dice say that it dies.
fn live(
    tables: &[Model],
    log: &mut Log,
    readers_max: usize,
    dice: &mut impl Iterator<Item = u8>,
    mortal: bool,
) -> bool {
    let mut queue = log.queue(tables);
    let mut readers: Vec<Reading> = Vec::new();
    loop {
        // Beyond the dice every step gets somewhere.
        let thrown = dice.next().unwrap_or(199);
        if mortal && thrown < 4 {
            return false;
        }
        if thrown < 10 {
            readers.clear();
            queue.recall();
        }
        match queue.next(readers.len() < readers_max) {
            Next::Look(unit) => queue.plan(unit, 8, tables[unit].step, false, false),
            Next::Read(piece) => {
                let mut left: Vec<u64> = tables[piece.unit].rows.clone();
                left.retain(|row| (piece.from..piece.to).contains(row));
                readers.push(Reading { piece, left, begun: false });
                if thrown % 2 == 0 {
                    continue;
                }
            }
            Next::Deliver => {
                let due = queue.take_due().expect("due");
                log.commit(&queue, due.unit, [(due.unit, due.row.address, due.marker)]);
                continue;
            }
            Next::Wait => assert!(!readers.is_empty(), "it waits for nobody"),
            Next::Finished => return true,
        }
        if readers.is_empty() {
            continue;
        }
        let which = usize::from(thrown) % readers.len();
        let reading = &mut readers[which];
        let Piece { unit, pass, from, first, .. } = reading.piece;
        // Up to three rows; the last of the piece is held back.
        let count = usize::from(thrown % 4).min(reading.left.len().saturating_sub(1));
        let delivered: Vec<u64> = reading.left.drain(..count).collect();
        let done = reading.left.len() <= 1 && thrown % 3 != 0;
        let held = done.then(|| reading.left.pop()).flatten().map(|address| Held { address, line: Vec::new() });
        let records: Vec<_> = delivered
            .iter()
            .map(|address| {
                (unit, *address, if std::mem::replace(&mut reading.begun, true) { Marker::Other } else { first })
            })
            .collect();
        let through = delivered.last().map(|address| address + 1);
        let report =
            Report { piece: (unit, pass, from), through, rows: delivered.len() as u64, done, held, facts: None };
        if done {
            readers.remove(which);
        }
        queue.report(report).expect("it is out");
        log.commit(&queue, unit, records);
    }
}

fn assert_exact(tables: &[Model], log: &Log, lives: usize) {
    let mut delivered: Vec<(usize, u64)> = log.rows.iter().map(|(unit, address, _)| (*unit, *address)).collect();
    delivered.sort_unstable();
    let there = tables.iter().enumerate().flat_map(|(unit, table)| table.rows.iter().map(move |row| (unit, *row)));
    assert_eq!(delivered, there.collect::<Vec<_>>());
    for (unit, table) in tables.iter().enumerate() {
        let (read, rows) = log.ledger.get(&unit).cloned().unwrap_or_default();
        assert!(table.rows.is_empty() || read.is_whole() && rows == table.rows.len() as u64, "{unit} in {read:?}");
    }
    let markers: Vec<Marker> = log.rows.iter().map(|(_, _, marker)| *marker).collect();
    let Some(last) = markers.last() else { return };
    assert_eq!(*last, Marker::Last);
    assert_eq!(markers.iter().filter(|marker| **marker == Marker::Last).count(), 1);
    assert!(markers.len() == 1 || markers[0] == Marker::First);
    assert!(!markers.get(1..).unwrap_or_default().contains(&Marker::First));
    for unit in 0..tables.len() {
        let of_table: Vec<Marker> = log.rows.iter().filter(|row| row.0 == unit).map(|(_, _, marker)| *marker).collect();
        let count = |wanted: Marker| of_table.iter().filter(|marker| **marker == wanted).count();
        let place = |wanted: Marker| of_table.iter().position(|marker| *marker == wanted);
        assert!(count(Marker::FirstOfTable) <= 1 && place(Marker::FirstOfTable).unwrap_or(0) == 0, "{of_table:?}");
        // A life that ends between a table's last row and its end leaves the table without a mark, but never with two.
        assert!(count(Marker::LastOfTable) <= 1, "{of_table:?}");
        if let Some(at) = place(Marker::LastOfTable) {
            assert_eq!(at + 1, of_table.len(), "{of_table:?}");
        } else if lives == 1 && of_table.len() > 1 {
            assert_eq!(of_table.last(), Some(&Marker::Last));
        }
    }
}

fn tables() -> impl Strategy<Value = Vec<Model>> {
    let row = (0u64..8, 1u64..5).prop_map(|(block, item)| block << 16 | item);
    let table = (prop::collection::btree_set(row, 0..20), 1u64..4)
        .prop_map(|(rows, step)| Model { rows: rows.into_iter().collect(), step });
    prop::collection::vec(table, 0..5)
}

proptest! {
    #[test]
    fn each_row_is_delivered_once(
        tables in tables(),
        readers in 1usize..5,
        lives in 1usize..5,
        dice in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut log = Log::default();
        let mut dice = dice.into_iter();
        let mut lived = 1;
        for _ in 1..lives {
            if live(&tables, &mut log, readers, &mut dice, true) {
                break;
            }
            lived += 1;
        }
        live(&tables, &mut log, readers, &mut std::iter::empty(), false);
        assert_exact(&tables, &log, lived);
    }
}

#[test]
fn a_second_piece_waits_for_the_first_row() {
    let mut queue = Queue::default();
    queue.enter(Ranges::default(), 0);
    queue.enter(Ranges::default(), 0);
    assert_eq!(queue.next(true), Next::Look(0));
    queue.plan(0, 3, 1, false, false);
    let Next::Read(piece) = queue.next(true) else { panic!("a piece") };
    assert_eq!((piece.from, piece.to, piece.first), (0, 1 << 16, Marker::First));
    assert_eq!(queue.next(true), Next::Wait, "nothing comes ahead of the first row of all");
    let report = Report { piece: (0, Pass::Rest, 0), through: Some(8), rows: 7, done: false, held: None, facts: None };
    queue.report(report.clone()).expect("it is out");
    assert!(matches!(queue.next(true), Next::Read(Piece { unit: 0, first: Marker::Other, .. })));
    assert_eq!(queue.next(false), Next::Wait, "nobody is free");
    assert!(queue.report(Report { piece: (1, Pass::Rest, 0), ..report }).is_err(), "nothing of it is out");
}

#[test]
fn newer_rows_of_the_read_part_are_read_first_and_change_nothing_in_the_ledger() {
    let mut queue = Queue::default();
    let mut read = Ranges::default();
    read.add(0, 9);
    queue.enter(read.clone(), 8);
    queue.plan(0, 200, 100, false, true);
    let Next::Read(piece) = queue.next(true) else { panic!("a piece") };
    assert_eq!((piece.pass, piece.from, piece.to), (Pass::Moved, 0, 9));
    queue
        .report(Report { piece: (0, Pass::Moved, 0), through: Some(5), rows: 1, done: true, held: None, facts: None })
        .expect("out");
    assert_eq!(queue.progress(0).map(|(read, _)| read.clone()), Some(read));
    assert!(matches!(queue.next(true), Next::Read(Piece { pass: Pass::Rest, from: 9, .. })));
}
