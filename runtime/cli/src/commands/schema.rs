//! `towpath schema`: a JSON Schema of pipeline files, for editors.

use std::path::Path;

use towpath_config::editor_schema;
use towpath_model::Plugins as _;

use crate::failure::Result;
use crate::output::print_json;
use crate::plugins;

/// Print a JSON Schema of pipeline files with the plugins that are there, for editors that complete and check YAML.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plugins: plugins::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let found = plugins::open_to_check(&arguments.plugins, Path::new("."))?.all();
    let specs: Vec<_> = found.iter().map(|plugin| plugin.spec()).collect();
    print_json(&editor_schema(&specs))
}
