//! What `towpath doctor` says of a machine and of a running worker. What it says of pipelines are their own codes.

use super::Blame::Environment;
use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "doctor.clock",
        Environment,
        "The worker's clock and that of this machine are some seconds apart. Times in records are hard to compare then, and requests to object stores are refused in the end.",
        "Let both machines follow a time server.",
    ),
    code(
        "doctor.connector",
        Environment,
        "A connector of the running worker is degraded, stalled or failed.",
        "`towpath status NAME` shows its tasks, retries and last errors, each with its code.",
    ),
    code(
        "doctor.dead_letters",
        Environment,
        "Records have gone to a dead letter queue since the worker started.",
        "Read them with `towpath tail`, mend the cause, and send them again with `towpath replay NAME --dead-letters`.",
    ),
    code(
        "doctor.disk_full",
        Environment,
        "The disk of the data directory has little room left. When there is none, the log takes no more records, and sources wait.",
        "Make room, or let topics keep less: retention.ms and retention.bytes.",
    ),
    code(
        "doctor.file_system",
        Environment,
        "The data directory lies on a file system that forgets, or on one of another machine, where a sync may not mean that data are on a disk.",
        "Let --data-dir lie on a disk of this machine.",
    ),
    code(
        "doctor.log_failed",
        Environment,
        "The log of the running worker has failed, because its disk did not take what was written.",
        "Look at the disk, then start the worker again. It recovers from its journal, and nothing that was acknowledged is lost.",
    ),
    code(
        "doctor.not_writable",
        Environment,
        "The data directory, or the folder that it would be made in, cannot be written.",
        "Give the user of the worker that folder, or name another one with --data-dir.",
    ),
    code(
        "doctor.open_files",
        Environment,
        "A process of this user may open few files. Connections, segments of topics and files of connectors add up.",
        "Raise the limit before the worker starts: `ulimit -n`, or LimitNOFILE in its systemd unit.",
    ),
    code(
        "doctor.port_taken",
        Environment,
        "Another program listens where a worker would.",
        "End it, or give the worker other addresses: --rest, --kafka, --registry.",
    ),
    code(
        "doctor.slow_sync",
        Environment,
        "The disk of the data directory takes long to sync. Each acknowledgement waits for a sync, so that latency is that of the disk.",
        "Use a faster disk, or one that other programs do not keep busy.",
    ),
    code(
        "doctor.version",
        Environment,
        "The running worker is of another version than the program that asks it.",
        "Use the program that the worker runs, or start the worker anew with this one.",
    ),
    code(
        "doctor.worker_unanswered",
        Environment,
        "The worker that was named does not answer, or turns the request away.",
        "Look whether it runs, and whether address, certificate and token are right.",
    ),
];
