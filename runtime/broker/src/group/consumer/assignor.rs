//! Who reads what: Kafka's server-side assignors `uniform`, which divides evenly and moves little, and `range`, which gives each member
//! neighbouring partitions, the same of every topic.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::machine::Partitions;

/// An assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub(crate) fn find(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// Divides partitions. `wants` says which topics each member reads, by id with their number of partitions; `had` what each had.
    pub(super) fn assign(
        self,
        wants: &BTreeMap<String, BTreeMap<Uuid, i32>>,
        had: &BTreeMap<String, Partitions>,
    ) -> BTreeMap<String, Partitions> {
        match self {
            Self::Uniform => uniform(wants, had),
            Self::Range => range(wants),
        }
    }
}

fn range(wants: &BTreeMap<String, BTreeMap<Uuid, i32>>) -> BTreeMap<String, Partitions> {
    let mut all: BTreeMap<String, Partitions> =
        wants.keys().map(|member| (member.clone(), Partitions::new())).collect();
    for (topic, (count, readers)) in readers(wants) {
        let (each, more) = (count as usize / readers.len(), count as usize % readers.len());
        let mut next = 0;
        for (index, reader) in readers.into_iter().enumerate() {
            let length = i32::try_from(each + usize::from(index < more)).unwrap_or(0);
            let mine = (next..next + length).map(|partition| (topic, partition));
            all.entry(reader.clone()).or_default().extend(mine);
            next += length;
        }
    }
    all
}

/// Topics with the number of their partitions and those who read them.
fn readers(wants: &BTreeMap<String, BTreeMap<Uuid, i32>>) -> BTreeMap<Uuid, (i32, Vec<&String>)> {
    let mut readers: BTreeMap<Uuid, (i32, Vec<&String>)> = BTreeMap::new();
    for (member, topics) in wants {
        for (topic, partitions) in topics {
            readers.entry(*topic).or_insert((*partitions, Vec::new())).1.push(member);
        }
    }
    readers
}

fn uniform(
    wants: &BTreeMap<String, BTreeMap<Uuid, i32>>,
    had: &BTreeMap<String, Partitions>,
) -> BTreeMap<String, Partitions> {
    let readers = readers(wants);
    let mut owner: BTreeMap<(Uuid, i32), &String> = BTreeMap::new();
    let mut load: BTreeMap<&String, usize> = wants.keys().map(|member| (member, 0)).collect();
    // What a member had it keeps, where it still reads that.
    for (member, topics) in wants {
        for partition in had.get(member).into_iter().flatten() {
            let exists = topics.get(&partition.0).is_some_and(|count| (0..*count).contains(&partition.1));
            if exists && !owner.contains_key(partition) {
                owner.insert(*partition, member);
                *load.entry(member).or_default() += 1;
            }
        }
    }
    // What nobody has goes to whoever has least.
    for (topic, (count, readers)) in &readers {
        for partition in 0..*count {
            if owner.contains_key(&(*topic, partition)) {
                continue;
            }
            if let Some(least) = readers.iter().min_by_key(|reader| load.get(**reader)) {
                owner.insert((*topic, partition), least);
                *load.entry(least).or_default() += 1;
            }
        }
    }
    // Then from those who have most to those who have least, until nobody could have one more and another one less.
    let mut moved = true;
    while moved {
        moved = false;
        for (partition, member) in &mut owner {
            let Some((_, readers)) = readers.get(&partition.0) else { continue };
            let Some(least) = readers.iter().min_by_key(|reader| load.get(**reader)) else { continue };
            let of = |member: &String| load.get(member).copied().unwrap_or(0);
            if of(member) > of(least) + 1 {
                *load.entry(*member).or_default() -= 1;
                *load.entry(*least).or_default() += 1;
                *member = least;
                moved = true;
            }
        }
    }
    let mut all: BTreeMap<String, BTreeSet<(Uuid, i32)>> =
        wants.keys().map(|member| (member.clone(), Partitions::new())).collect();
    for (partition, member) in owner {
        all.entry(member.clone()).or_default().insert(partition);
    }
    all
}
