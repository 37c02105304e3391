//! Sends entries in rounds until each is accepted, refused, or has to wait.
//!
//! The host ends a lane at the first request that is not accepted. After a refusal the lane goes on in the next round: the
//! refused records are out of the way. After a passing fault it does not: what follows on the lane waits behind it, so the order of a
//! key holds however often it is tried. A round is bounded, so an endpoint in trouble sees one round, not the whole batch.

use std::collections::{HashSet, VecDeque};

use crate::answer::{Failure, Fault, Verdict};
use crate::packet::{Entry, Packet, Packets};
use crate::{Client, Counts, Settings};

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    Refused(Fault),
    /// It is to be sent again.
    Failed(Fault),
    /// It was not sent, because of what failed before.
    Behind,
}

/// What became of all entries.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One for each entry.
    pub(crate) fates: Vec<Fate>,
    /// The failure to tell of, when something is to be sent again.
    pub(crate) failure: Option<Failure>,
}

/// The endpoint is not permitted, or the requests are malformed.
#[derive(Debug)]
pub(crate) struct Misconfigured(pub(crate) String);

/// Sends entries.
pub(crate) fn dispatch(
    client: &mut impl Client,
    settings: &Settings,
    entries: &[Entry<'_>],
    now_ms: i64,
    counts: &mut Counts,
) -> Result<Outcome, Misconfigured> {
    let packets = Packets::of(entries, settings);
    let mut rounds = Rounds {
        waiting: packets.packets.iter().collect(),
        blocked: HashSet::new(),
        outcome: Outcome { fates: vec![Fate::Behind; entries.len()], failure: None },
        packets: &packets,
    };
    let round_max = (settings.max_in_flight as usize * 4).max(64);
    loop {
        let round = rounds.next(round_max);
        if round.is_empty() {
            return Ok(rounds.outcome);
        }
        let requests: Vec<_> = round.iter().map(|packet| packets.request(packet, entries, settings)).collect();
        let answers = client.send_all(requests, settings.max_in_flight);
        let verdicts = answers.into_iter().map(|answer| Verdict::of(answer, &settings.host, now_ms));
        let verdicts = verdicts.chain(std::iter::repeat(Verdict::NotSent));
        if !rounds.judge(&round, verdicts, counts)? {
            return Ok(rounds.outcome);
        }
    }
}

struct Rounds<'a> {
    waiting: VecDeque<&'a Packet>,
    /// Lanes at whose head something has to wait.
    blocked: HashSet<u64>,
    outcome: Outcome,
    packets: &'a Packets,
}

impl<'a> Rounds<'a> {
    fn next(&mut self, max: usize) -> Vec<&'a Packet> {
        let mut round = Vec::new();
        while round.len() < max {
            let Some(packet) = self.waiting.pop_front() else { break };
            if !self.blocked.contains(&packet.lane) {
                round.push(packet);
            }
        }
        round
    }

    /// Takes the verdicts in. Returns whether to go on.
    fn judge(
        &mut self,
        round: &[&'a Packet],
        verdicts: impl Iterator<Item = Verdict>,
        counts: &mut Counts,
    ) -> Result<bool, Misconfigured> {
        let mut again = Vec::new();
        let (mut settled, mut stop) = (0, false);
        for (packet, verdict) in round.iter().copied().zip(verdicts) {
            let records = self.packets.entries_of(packet).count() as u64;
            counts.requests += u64::from(verdict != Verdict::NotSent);
            match verdict {
                Verdict::Accepted => {
                    counts.requests_accepted += 1;
                    counts.records_accepted += records;
                    settled += 1;
                    self.mark(packet, &Fate::Accepted);
                }
                Verdict::Refused(fault) => {
                    counts.records_refused += records;
                    settled += 1;
                    self.mark(packet, &Fate::Refused(fault));
                }
                Verdict::Failed(failure) => {
                    counts.requests_failed += 1;
                    stop |= failure.concerns_all;
                    self.blocked.insert(packet.lane);
                    self.mark(packet, &Fate::Failed(failure.fault.clone()));
                    self.remember(failure);
                }
                Verdict::NotSent if self.blocked.contains(&packet.lane) => {}
                Verdict::NotSent => again.push(packet),
                Verdict::Misconfigured(reason) => return Err(Misconfigured(reason)),
            }
        }
        if settled == 0 && self.outcome.failure.is_none() {
            let fault = Fault { code: "http.not_sent", reason: "no request was sent".to_owned() };
            self.remember(Failure { fault, after: None, concerns_all: true });
        }
        again.into_iter().rev().for_each(|packet| self.waiting.push_front(packet));
        Ok(settled > 0 && !stop)
    }

    fn mark(&mut self, packet: &Packet, fate: &Fate) {
        for at in self.packets.entries_of(packet) {
            if let Some(entry) = self.outcome.fates.get_mut(at) {
                *entry = fate.clone();
            }
        }
    }

    /// Of several failures, the one that asks for the longest wait is told.
    fn remember(&mut self, failure: Failure) {
        match &self.outcome.failure {
            Some(known) if known.after >= failure.after => {}
            _ => self.outcome.failure = Some(failure),
        }
    }
}
