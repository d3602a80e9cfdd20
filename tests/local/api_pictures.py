"""Puts photographs into books through the API, as a caller does, and looks at what that queued."""

import json

import boto3

from tests.local.api_caller import BUCKET, QUEUE, call

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 10
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
NEW = {"filename": "photo.jpg", "content_type": "image/jpeg"}


def new_book(title="Emma"):
    return call("POST", "/api/v1/books", {"title": title}).json["id"]


def reserve(book, **changes):
    answer = call("POST", f"/api/v1/books/{book}/images", NEW | changes)
    assert answer.status == 201, answer.text
    return answer.json


def put(reservation, body=JPEG):
    """Upload as S3 would store it. What the signed policy allows is tested where it is made."""
    fields = reservation["upload"]["fields"]
    boto3.client("s3").put_object(Bucket=BUCKET, Key=fields["key"], Body=body, ContentType=fields["Content-Type"])


def put_object(key, body=JPEG):
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def complete(book, image_id):
    return call("POST", f"/api/v1/books/{book}/images/{image_id}/complete")


def add(book, body=JPEG, **changes):
    reservation = reserve(book, **changes)
    put(reservation, body)
    answer = complete(book, reservation["image_id"])
    assert answer.status in {200, 202}, answer.text
    return answer.json


def shown(book):
    """The ids of a book's pictures in their order, and those of its primaries."""
    images = call("GET", f"/api/v1/books/{book}").json["images"]
    return [image["id"] for image in images], [image["id"] for image in images if image["is_primary"]]


def messages():
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in received]
