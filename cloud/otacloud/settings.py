"""What can be set, by environment (`DRIBLET_...`) or by `driblet serve`. docs/settings.md lists it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from otacloud.logs import Level


class Settings(BaseSettings):
    """One value per field; the field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="DRIBLET_")

    data: Path = Field(Path("driblet-data"), description="Folder of the database, objects and master key.")
    database_url: str = Field(
        "", description="SQLAlchemy URL with an async driver; empty: `cloud.sqlite` in the data folder."
    )
    storage_url: str = Field(
        "",
        description="obstore URL (`s3://...`, `file://...`); empty: `objects` in the data folder.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="64 hex digits that seal every secret; empty: the file `master.key` in the data folder.",
    )
    admin_token: SecretStr | None = Field(
        None,
        description="Admin API token that must exist; empty: one is made and printed at the first start.",
    )
    package_base_url: str = Field(
        "", description="Where boards fetch packages (a CDN); empty: from this server, by a relative URL."
    )
    poll_interval: int = Field(60, ge=1, le=86_400, description="Seconds between the polls of a board.")
    device_token_life: int = Field(3_600, ge=60, description="Seconds that a board's log-in holds.")
    offer_timeout: int = Field(
        86_400, ge=10, description="Seconds after which a silent board no longer counts as being in flight."
    )
    max_image_size: int = Field(16 * 2**20, ge=4_096, description="Bytes that an uploaded image may have.")
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server of alarms: `smtp://user:password@host:587` (STARTTLS) or `smtps://...`.",
    )
    mail_from: str = Field("driblet@localhost", description="Sender of alarms.")
    outgoing_hosts: list[str] = Field(
        [], description="JSON list of hosts that webhooks may call though they are not public, or by http."
    )
    address_reads: int = Field(
        200, ge=0, description="Reads and polls in a second that one IP address may make; 0: any number."
    )
    address_writes: int = Field(
        50, ge=0, description="Other calls in a second that one IP address may make; 0: any number."
    )
    device_calls: int = Field(
        5, ge=0, description="Calls in a second that one board may make; 0: any number."
    )
    tenant_calls: int = Field(
        2_000,
        ge=0,
        description="Calls in a second by all boards, people and programs of a tenant; 0: any number.",
    )
    mqtt_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port of the MQTT broker inside, which tells boards to poll (TLS by `--cert`). 0: none.",
    )
    mqtt_url: SecretStr | None = Field(
        None,
        description="MQTT broker to use instead, such as Mosquitto: `mqtts://user:password@host:8883`.",
    )
    mqtt_ca: Path | None = Field(
        None, description="PEM file of the CA of that broker; empty: those of the system."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that make packages.")
    log_json: bool = Field(False, description="Log as JSON lines rather than for people.")
    log_level: Level = Field(
        "info",
        description="`debug` also has reads and all calls of boards, `warning` no requests at all.",
    )
    secure_cookies: bool = Field(False, description="Console cookies over HTTPS only; set by `--cert`.")

    def broker_names(self) -> tuple[str, str]:
        """User and password of the service at the broker of `mqtt_url`."""
        found = urlsplit(self.mqtt_url.get_secret_value() if self.mqtt_url else "")
        return unquote(found.username or ""), unquote(found.password or "")
