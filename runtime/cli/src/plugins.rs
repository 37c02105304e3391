//! temporary
use crate::failure::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use towpath_model::{Plugin, Plugins, UnknownPlugin};

/// Where plugins are found.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A folder of .wasm files that add plugins.
    #[arg(long = "plugins", env = "TOWPATH_PLUGINS", value_name = "DIR")]
    dir: Option<PathBuf>,
}
struct Nothing;
impl Plugins for Nothing {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        Vec::new()
    }
    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        Err(UnknownPlugin { class: class.into(), available: vec![], suggestion: None })
    }
}
pub(crate) struct Opened;
pub(crate) struct Running;
impl Opened {
    pub(crate) fn all(&self) -> Arc<dyn Plugins> {
        Arc::new(Nothing)
    }
    pub(crate) fn tell(self, _: towpath_worker::Handle) -> Result<Running> {
        Ok(Running)
    }
}
pub(crate) async fn open(_: &Options, _: &Path, _: &Path) -> Result<Opened> {
    Ok(Opened)
}
pub(crate) fn open_to_check(_: &Options, _: &Path) -> Result<Arc<dyn Plugins>> {
    Ok(Arc::new(Nothing))
}
