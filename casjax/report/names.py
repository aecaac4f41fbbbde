"""What tables and figures call the test set, the scores and the methods."""

DATASET = "live1"  # the one that methods are compared on
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
