"""The test set that methods are compared on, and what reports call scores and methods."""

DATASET = "live1"
SCORES = {
    "psnr": "PSNR [dB]",
    "psnrb": "PSNR-B [dB]",
    "ssim": "SSIM",
    "ipsnr": "Gain in PSNR [dB]",
}
METHODS = {
    "jpeg": "JPEG",
    "sadct": "SA-DCT",
    "arcnn": "AR-CNN",
    "l4": "L4",
    "l8": "L8",
    "cascnn": "CAS-CNN",
}
