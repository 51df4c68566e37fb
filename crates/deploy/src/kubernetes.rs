//! x
/// x
pub fn manifests(_: &crate::Deployment, _: &str, _: bool) -> Result<String, String> {
    Ok(String::new())
}
