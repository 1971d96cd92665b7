package server

// The schemas tell clients, such as the glance command, which attributes an
// image and a member have. They describe what this server takes and gives.

const uuidPattern = `^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$`

const imageProperties = `
"id": {"type": "string", "pattern": "` + uuidPattern + `", "description": "The image's UUID"},
"name": {"type": ["null", "string"], "maxLength": 255, "description": "A name for people; images may share it"},
"status": {"type": "string", "readOnly": true, "enum": ["queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"], "description": "State of the image"},
"visibility": {"type": "string", "enum": ["community", "public", "private", "shared"], "description": "Who can see the image"},
"protected": {"type": "boolean", "description": "True if the image cannot be deleted"},
"os_hidden": {"type": "boolean", "description": "True if the image is left out of lists"},
"checksum": {"type": ["null", "string"], "readOnly": true, "maxLength": 32, "description": "MD5 of the data"},
"os_hash_algo": {"type": ["null", "string"], "readOnly": true, "maxLength": 64, "description": "How os_hash_value was made"},
"os_hash_value": {"type": ["null", "string"], "readOnly": true, "maxLength": 128, "description": "Hash of the data, in hex"},
"owner": {"type": ["null", "string"], "maxLength": 255, "description": "Project that the image belongs to"},
"size": {"type": ["null", "integer"], "readOnly": true, "description": "Length of the data in bytes"},
"virtual_size": {"type": ["null", "integer"], "readOnly": true, "description": "Size of the disk within, in bytes"},
"container_format": {"type": ["null", "string"], "enum": [null, "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"], "description": "What the disk is wrapped in"},
"disk_format": {"type": ["null", "string"], "enum": [null, "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"], "description": "How the disk is stored"},
"created_at": {"type": "string", "readOnly": true, "description": "When the image was registered"},
"updated_at": {"type": "string", "readOnly": true, "description": "When the image was last changed"},
"tags": {"type": "array", "items": {"type": "string", "maxLength": 255}, "description": "Labels"},
"min_ram": {"type": "integer", "description": "Memory needed to boot, in MB"},
"min_disk": {"type": "integer", "description": "Disk needed to boot, in GB"},
"self": {"type": "string", "readOnly": true, "description": "Path of the image"},
"file": {"type": "string", "readOnly": true, "description": "Path of its data"},
"schema": {"type": "string", "readOnly": true, "description": "Path of its schema"}`

const memberProperties = `
"member_id": {"type": "string", "description": "Project that the image is shared with"},
"image_id": {"type": "string", "pattern": "` + uuidPattern + `", "description": "The image's UUID"},
"status": {"type": "string", "enum": ["pending", "accepted", "rejected"], "description": "What the project made of it"},
"created_at": {"type": "string", "description": "When it was shared"},
"updated_at": {"type": "string", "description": "When the status was last changed"},
"schema": {"type": "string", "readOnly": true}`

const (
	imageSchema = `{"name": "image", "properties": {` + imageProperties + `}, "additionalProperties": {"type": "string"}, ` +
		`"links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}]}`

	imagesSchema = `{"name": "images", "properties": {"images": {"type": "array", "items": ` + imageSchema + `}, ` +
		`"first": {"type": "string"}, "next": {"type": "string"}, "schema": {"type": "string"}}, ` +
		`"links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}]}`

	memberSchema = `{"name": "member", "properties": {` + memberProperties + `}}`

	membersSchema = `{"name": "members", "properties": {"members": {"type": "array", "items": ` + memberSchema + `}, ` +
		`"schema": {"type": "string"}}, "links": [{"rel": "describedby", "href": "{schema}"}]}`
)
