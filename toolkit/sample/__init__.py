"""The embedded data set: real AV1 partition labels of 24 photographs, with their licences."""
