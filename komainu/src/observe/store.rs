//! Whether the state store answers this leader, as metrics.

use operator_store::Availability;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::{counter, gauge};

#[derive(Debug)]
pub(crate) struct Store(pub(crate) Availability);

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "1 if the state store answered what it was asked last";
        gauge(&mut encoder, "store_available", help, i64::from(self.0.is_available()))?;
        let help = "Calls that the state store didn't answer";
        counter(&mut encoder, "store_failures", help, self.0.failures())
    }
}
