//! `towpath groups …`: consumer groups, the worker's sinks among them: who reads, how far behind, and where to go on.

use clap::{ArgGroup, Subcommand};
use serde_json::{Value, json};
use towpath_broker::admin::{GroupDescription, GroupListing, GroupPosition, Reset, ResetTo};
use towpath_model::{Clock as _, SystemClock};
use towpath_rest::Beginning;

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::operator::{self, failure};
use crate::output::{print, print_json};

/// List and describe consumer groups, reset their offsets, delete them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the groups.
    List {
        /// Only those in this state, such as Stable or Empty; may be repeated.
        #[arg(long, env = "TOWPATH_STATE", value_name = "STATE")]
        state: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Describe a group: its members, and for each partition what is committed, how far behind that is, and who reads it.
    Describe {
        /// The group; that of a sink is connect-NAME.
        group: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Set where a group goes on. It must have no members; a sink is stopped first. Shows what it would do unless told to --execute.
    ResetOffsets(ResetArguments),
    /// Delete a group without members, with all that it has committed.
    Delete {
        /// The group.
        group: String,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("aim").required(true)))]
struct ResetArguments {
    /// The group.
    group: String,
    /// Only this topic; may be repeated. Topics that the group has never read need to be named [default: all that it has read].
    #[arg(long, env = "TOWPATH_TOPIC", value_name = "TOPIC")]
    topic: Vec<String>,
    /// To the first record that is kept.
    #[arg(long, env = "TOWPATH_TO_EARLIEST", group = "aim")]
    to_earliest: bool,
    /// To the end.
    #[arg(long, env = "TOWPATH_TO_LATEST", group = "aim")]
    to_latest: bool,
    /// To where it is, or the nearest offset that there is.
    #[arg(long, env = "TOWPATH_TO_CURRENT", group = "aim")]
    to_current: bool,
    /// To this offset, or the nearest that there is.
    #[arg(long, env = "TOWPATH_TO_OFFSET", value_name = "OFFSET", group = "aim")]
    to_offset: Option<i64>,
    /// To the first record of this time or later: 2026-11-21T08:30:00Z, or a span such as 15m for so long ago.
    #[arg(long, env = "TOWPATH_TO_DATETIME", value_name = "TIME", group = "aim")]
    to_datetime: Option<String>,
    /// So many records further on, or back where it is negative.
    #[arg(long, env = "TOWPATH_SHIFT_BY", value_name = "N", allow_hyphen_values = true, group = "aim")]
    shift_by: Option<i64>,
    /// Do it, instead of only showing it.
    #[arg(long, env = "TOWPATH_EXECUTE", conflicts_with = "dry_run")]
    execute: bool,
    /// Only show it, which is what happens anyway.
    #[arg(long, env = "TOWPATH_DRY_RUN")]
    dry_run: bool,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// Print one JSON document.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List { state, asked } => {
            let groups = operator::find(&asked.target).await?.groups(&state).await.map_err(failure)?;
            if asked.json { print_json(&groups.iter().map(listing).collect::<Vec<_>>()) } else { print(list(&groups)) }
        }
        Command::Describe { group, asked } => {
            let group = operator::find(&asked.target).await?.describe_group(&group).await.map_err(failure)?;
            if asked.json { print_json(&document(&group)) } else { print(describe(&group)) }
        }
        Command::ResetOffsets(reset) => reset_offsets(reset).await,
        Command::Delete { group, asked } => {
            operator::find(&asked.target).await?.delete_group(&group).await.map_err(failure)?;
            if asked.json { print_json(&json!({ "deleted": group })) } else { print([format!("{group} is deleted")]) }
        }
    }
}

async fn reset_offsets(arguments: ResetArguments) -> Result<()> {
    let to = arguments.aim()?;
    let ResetArguments { group, topic, execute, asked, .. } = arguments;
    let mut operator = operator::find(&asked.target).await?;
    let plan = operator.plan_reset(&group, &topic, to).await.map_err(failure)?;
    if execute {
        operator.reset(&group, &plan).await.map_err(failure)?;
    }
    if asked.json {
        let one = |reset: &Reset| {
            let Reset { partition, from, to } = reset;
            json!({"topic": partition.topic, "partition": partition.partition, "from": from, "to": to})
        };
        let offsets: Vec<Value> = plan.iter().map(one).collect();
        return print_json(&json!({"group": group, "executed": execute, "offsets": offsets}));
    }
    let cells = |reset: &Reset| {
        let Reset { partition, from, to } = reset;
        [partition.topic.to_string(), partition.partition.to_string(), number(*from), to.to_string()]
    };
    let lines = columns(["TOPIC", "PARTITION", "FROM", "TO"], plan.iter().map(cells));
    let rest = (!execute).then(|| "nothing is changed yet: say --execute".to_owned());
    print(lines.into_iter().chain(rest))
}

impl ResetArguments {
    fn aim(&self) -> Result<ResetTo> {
        if self.to_earliest {
            return Ok(ResetTo::Earliest);
        }
        if self.to_latest {
            return Ok(ResetTo::Latest);
        }
        if let Some(offset) = self.to_offset {
            return Ok(ResetTo::Offset(offset));
        }
        if let Some(by) = self.shift_by {
            return Ok(ResetTo::ShiftBy(by));
        }
        let Some(time) = &self.to_datetime else { return Ok(ResetTo::Current) };
        match Beginning::parse(time, SystemClock::default().now_ms()).map_err(Failure::input)? {
            Beginning::Time(time_ms) => Ok(ResetTo::Time(time_ms)),
            _ => Err(Failure::input(format!(
                "--to-datetime {time:?} is no time such as 2026-11-21T08:30:00Z, nor a span such as 15m"
            ))),
        }
    }
}

fn list(groups: &[GroupListing]) -> Vec<String> {
    let cells = |group: &GroupListing| {
        [group.group.clone(), group.state.clone(), group.group_type.to_lowercase(), group.protocol_type.clone()]
    };
    columns(["GROUP", "STATE", "TYPE", "PROTOCOL"], groups.iter().map(cells))
}

fn listing(group: &GroupListing) -> Value {
    let GroupListing { group, state, protocol_type, group_type } = group;
    json!({"group": group, "state": state, "type": group_type.to_lowercase(), "protocol_type": protocol_type})
}

fn describe(group: &GroupDescription) -> Vec<String> {
    let mut lines = vec![format!("{}  {}  {} members", group.group, group.state, group.members.len())];
    for member in &group.members {
        let partitions = member.partitions.len();
        lines.push(format!(
            "  {}  {}  {}  {partitions} partitions",
            member.member_id, member.client_id, member.client_host
        ));
    }
    let cells = |position: &GroupPosition| {
        let partition = &position.partition;
        [
            partition.topic.to_string(),
            partition.partition.to_string(),
            number(position.committed),
            number(position.end),
            number(position.lag()),
            match position.lost() {
                0 => String::new(),
                lost => format!("{lost} lost"),
            },
            position.member_id.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let heads = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "", "MEMBER"];
    lines.extend(columns(heads, group.positions.iter().map(cells)));
    lines
}

fn document(group: &GroupDescription) -> Value {
    let members = group.members.iter().map(|member| {
        let partitions = member.partitions.iter().map(|one| json!({"topic": one.topic, "partition": one.partition}));
        json!({
            "member_id": member.member_id,
            "client_id": member.client_id,
            "host": member.client_host,
            "partitions": partitions.collect::<Vec<_>>(),
        })
    });
    let partitions = group.positions.iter().map(|position| {
        json!({
            "topic": position.partition.topic,
            "partition": position.partition.partition,
            "committed": position.committed,
            "metadata": position.metadata,
            "start": position.start,
            "end": position.end,
            "lag": position.lag(),
            "lost": position.lost(),
            "member_id": position.member_id,
        })
    });
    json!({
        "group": group.group,
        "state": group.state,
        "protocol": group.protocol,
        "members": members.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    })
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Rows under their heads, each column as wide as its widest cell.
fn columns<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
