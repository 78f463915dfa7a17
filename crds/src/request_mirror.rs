use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::BackendReference;
use crate::bounds::MAX_DENOMINATOR;

/// A Backend that gets copies of a share of the requests, as in the Gateway API. The share is all of them unless percent or
/// fraction says otherwise.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.percent) || !has(self.fraction)")
    .message("percent and fraction both say how many requests are mirrored: write only one of them"))]
pub struct RequestMirror {
    /// The Backend that gets the copies.
    #[serde(rename = "ref")]
    pub reference: BackendReference,
    /// How many requests are mirrored, in percent: each with this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u32>,
    /// How many requests are mirrored, where percent is too coarse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// A part of a whole.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.numerator <= (has(self.denominator) ? self.denominator : 100)")
    .message("a fraction is at most 1: write a numerator that isn't larger than the denominator"))]
pub struct Fraction {
    /// So many of denominator, at most as many.
    #[schemars(range(max = MAX_DENOMINATOR))]
    pub numerator: u32,
    /// What numerator is a part of. Default: 100.
    #[serde(default = "default_denominator")]
    #[schemars(range(min = 1, max = MAX_DENOMINATOR))]
    pub denominator: u32,
}

const fn default_denominator() -> u32 {
    100
}
