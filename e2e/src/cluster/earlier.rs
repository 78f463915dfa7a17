use std::path::PathBuf;

use anyhow::Context as _;

use super::kubernetes::must;

/// The version that this tree is an upgrade from; see `e2e/cluster/earlier`.
#[derive(Clone, Debug)]
pub struct Earlier {
    pub image: PathBuf,
    /// Of the image, and of no other.
    pub tag: String,
    pub chart: PathBuf,
    pub examples: PathBuf,
}

impl Earlier {
    /// Builds it, the first time.
    pub fn make() -> anyhow::Result<Self> {
        let printed = must("earlier", "", &[])?;
        let folder = PathBuf::from(printed.trim().lines().last().context("e2e/cluster/earlier says where")?);
        let tag = std::fs::read_to_string(folder.join("tag"))?.trim().to_owned();
        let [image, chart, examples] = ["image.tar", "chart", "examples"].map(|name| folder.join(name));
        Ok(Self { image, tag, chart, examples })
    }
}
