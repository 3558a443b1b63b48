//! The GPUs that the NVIDIA driver shows.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

/// What is known of the machine's GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gpus {
    /// None can be seen, and why.
    Absent {
        reason: String,
    },
    Present(Vec<Gpu>),
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// As the driver calls the model.
    pub name: String,
    pub memory_bytes: u64,
    /// Version of the kernel driver.
    pub driver: String,
}

impl Gpus {
    /// Asks the driver, if there is one.
    #[must_use]
    pub fn read() -> Self {
        match list() {
            Ok(gpus) if gpus.is_empty() => Self::Absent { reason: "the driver shows no GPU".to_owned() },
            Ok(gpus) => Self::Present(gpus),
            Err(NvmlError::LibloadingError(_)) => {
                Self::Absent { reason: "libnvidia-ml.so.1 could not be loaded".to_owned() }
            }
            Err(error) => Self::Absent { reason: format!("the NVIDIA driver did not answer: {error}") },
        }
    }
}

fn list() -> Result<Vec<Gpu>, NvmlError> {
    let nvml = Nvml::init()?;
    let driver = nvml.sys_driver_version()?;
    (0..nvml.device_count()?)
        .map(|index| {
            let device = nvml.device_by_index(index)?;
            Ok(Gpu {
                name: device.name()?,
                memory_bytes: device.memory_info()?.total,
                driver: driver.clone(),
            })
        })
        .collect()
}
