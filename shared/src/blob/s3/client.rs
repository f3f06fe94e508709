//! The client: which keys, which region, and how long anything may take.

use super::{Keys, with_reason};
use crate::config;
use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig,
    ecs::EcsCredentialsProvider,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::{credentials::CredentialsProviderChain, region::RegionProviderChain},
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Credentials, ProvideCredentials, RequestChecksumCalculation,
        ResponseChecksumValidation,
    },
};
use std::{io, time::Duration};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long one attempt may take until its answer begins; the largest carries a part of an upload.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// How long all attempts of a request may take together.
const OPERATION_MAX: Duration = Duration::from_secs(150);

/// How long a body may stand still, in either direction.
const STALL_MAX: Duration = Duration::from_secs(20);

/// How often a request is tried.
const ATTEMPTS_MAX: u32 = 3;

/// The region that servers other than AWS go by.
const REGION_ELSEWHERE: &str = "us-east-1";

const NO_KEYS: &str = "no keys were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                       AWS_PROFILE, or give the machine a role";

const NO_REGION: &str = "no region was found: set AWS_REGION, or add region= to the storage's URL";

/// Builds the client, and makes sure that there are keys and a region.
pub(super) async fn build(address: &config::S3, keys: Option<&Keys>) -> io::Result<Client> {
    let loaded = load(address, keys).await;
    if loaded.region().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NO_REGION));
    }
    let provider = loaded.credentials_provider();
    let provider = provider.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, NO_KEYS))?;
    if let Err(error) = provider.provide_credentials().await {
        let error = format!("{NO_KEYS} ({})", with_reason(&error));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let mut builder = Builder::from(&loaded).force_path_style(address.path_style);
    if let Some(endpoint) = &address.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    if !address.checksums {
        builder = builder
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    Ok(Client::from_conf(builder.build()))
}

/// AWS's default chain ends with the machine's metadata service, which exists only in AWS's cloud;
/// elsewhere it costs seconds at every start. So it is used only when neither the address nor the
/// environment gives endpoint and keys.
async fn load(address: &config::S3, keys: Option<&Keys>) -> SdkConfig {
    let loader = loader();
    if let Some(keys) = keys {
        let keys = Credentials::new(&keys.id, keys.secret.expose(), None, None, "given");
        return loader.credentials_provider(keys).region(region(address)).load().await;
    }
    let in_environment = EnvironmentVariableCredentialsProvider::new();
    if in_environment.provide_credentials().await.is_ok() {
        return loader.credentials_provider(in_environment).region(region(address)).load().await;
    }
    if address.endpoint.is_some() {
        let chain = CredentialsProviderChain::first_try("environment", in_environment)
            .or_else("profile", ProfileFileCredentialsProvider::builder().build())
            .or_else("web identity", WebIdentityTokenCredentialsProvider::builder().build())
            .or_else("container", EcsCredentialsProvider::builder().build());
        return loader.credentials_provider(chain).region(region(address)).load().await;
    }
    match &address.region {
        Some(region) => loader.region(Region::new(region.clone())).load().await,
        None => loader.load().await,
    }
}

fn loader() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(OPERATION_MAX);
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALL_MAX).build(),
        )
}

/// Where the region comes from when the metadata service is left alone.
fn region(address: &config::S3) -> RegionProviderChain {
    let elsewhere = address.endpoint.is_some().then(|| Region::from_static(REGION_ELSEWHERE));
    RegionProviderChain::first_try(address.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(elsewhere)
}
