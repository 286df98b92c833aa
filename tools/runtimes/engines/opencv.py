import cv2


class Model:
    def __init__(self, path, description):
        self.net = cv2.dnn.readNetFromONNX(path, cv2.dnn.ENGINE_NEW) if hasattr(cv2.dnn, "ENGINE_NEW") else cv2.dnn.readNetFromONNX(path)
        self.outputs = [o["name"] for o in description["outputs"]]

    def run(self, feeds):
        for name, value in feeds.items():
            self.net.setInput(value, name)
        return dict(zip(self.outputs, self.net.forward(self.outputs), strict=True))


def open(path, threads, description):
    return Model(path, description)
