"""Settings: what is missing or cannot be meant is refused by the variable's name."""

import pytest

from handlers.common.settings import DatabaseSettings, Deployment, ImageSettings, SettingError, queue_variable, required


@pytest.mark.parametrize("environ", [{}, {"BMX_X": ""}, {"BMX_X": "  "}])
def test_a_missing_or_empty_setting_is_refused_by_its_name(environ):
    with pytest.raises(SettingError, match="BMX_X"):
        required("BMX_X", environ)


def test_tls_is_required_unless_declared_otherwise():
    assert DatabaseSettings.from_environment({"BMX_DATABASE_SECRET_ARN": "a"}).sslmode == "require"


@pytest.mark.parametrize("mode", ["prefer", "allow", "verify-ca", "no"])
def test_a_tls_mode_that_an_attacker_could_talk_down_is_refused(mode):
    with pytest.raises(SettingError, match=r"BMX_DATABASE_SSLMODE.*must be one of disable, require, verify-full"):
        DatabaseSettings.from_environment({"BMX_DATABASE_SECRET_ARN": "a", "BMX_DATABASE_SSLMODE": mode})


def test_verify_full_needs_the_authoritys_certificates():
    environ = {"BMX_DATABASE_SECRET_ARN": "a", "BMX_DATABASE_SSLMODE": "verify-full"}
    with pytest.raises(SettingError, match="BMX_DATABASE_SSLROOTCERT"):
        DatabaseSettings.from_environment(environ)
    assert DatabaseSettings.from_environment(environ | {"BMX_DATABASE_SSLROOTCERT": "rds.pem"}).sslrootcert == "rds.pem"


@pytest.mark.parametrize("url", ["cdn.example.org", "ftp://x", "https://x/?a=b", "https://x y", "https://"])
def test_a_cdn_address_that_is_no_plain_http_address_is_refused(url):
    with pytest.raises(SettingError, match="BMX_IMAGES_CDN_URL"):
        ImageSettings.from_environment({"BMX_IMAGES_BUCKET": "b", "BMX_IMAGES_CDN_URL": url})


def test_the_cdn_is_optional_and_the_bucket_is_not():
    assert ImageSettings.from_environment({"BMX_IMAGES_BUCKET": "b"}).cdn_url is None
    with pytest.raises(SettingError, match="BMX_IMAGES_BUCKET"):
        ImageSettings.from_environment({"BMX_IMAGES_CDN_URL": "https://cdn.example.org"})


def test_a_flows_variable_is_named_by_the_contract():
    assert queue_variable("image_processing") == "BMX_IMAGE_PROCESSING_QUEUE_NAME"


def test_the_deployment_is_read_from_its_two_variables():
    environ = {"BMX_ENVIRONMENT": "local", "BMX_VERSION": "dev"}
    assert Deployment.from_environment(environ) == Deployment("local", "dev")
