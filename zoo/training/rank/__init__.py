"""`zoo rank`: which backbones suit some images, judged by their features before anything is trained."""
